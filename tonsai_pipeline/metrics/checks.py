r"""An answer and the checks of an item -> which of them it passes; no judge, only what can be counted.

"- ស្វាយ\n- ចេក\n- ក្រូច", ["items==3", "khmer_frac>=0.9"] ──passes──▶ [True, True]
"""

from __future__ import annotations

import operator
import re

import pyarrow as pa

from tonsai_pipeline.metrics.answers import DIGITS, answer_units
from tonsai_pipeline.text import script_shares_batch

_OPERATORS = {">=": operator.ge, "<=": operator.le, "==": operator.eq}
_CHECK = re.compile(r"^([a-z_]+)(>=|<=|==)([0-9.]+)$")
#: Commas, lines, khan, and the Khmer words for "and".
_ITEM = re.compile("[,;\n\u17d4]|(?:\u17a0\u17be\u1799)?\u1793\u17b7\u1784|\\band\\b")
_BULLET = re.compile(r"^[\s\-*\u2022]*(?:\d+[.)\u17d4]?)?\s*")
_SENTENCE = re.compile(r"[\u17d4\u17d5.!?\n]+")
_DIGIT_RUN = re.compile(r"\d(?:[ .\-]?\d)*")


def passes(answer: str, check: str) -> bool:
    """Tell whether an answer passes a check such as `items==3`.

    Raises:
        ValueError: The check is not one of `name>=number`, or its name is unknown.

    Example:
        >>> passes("ស្វាយ ចេក", "units>=3"), passes("call 012 345 678", "digit_run<=5")
        (True, False)
    """
    match = _CHECK.match(check)
    if match is None or match[1] not in _MEASURES:
        known = ", ".join(_MEASURES)
        raise ValueError(
            f"unknown check {check!r}; a check is one of {known}, then >=, <= or ==, then a number"
        )
    return bool(_OPERATORS[match[2]](_MEASURES[match[1]](answer), float(match[3])))


def _khmer_frac(text: str) -> float:
    return script_shares_batch(pa.array([text]))[0]["khmer_frac"].as_py()


def _latin_frac(text: str) -> float:
    return script_shares_batch(pa.array([text]))[0]["latin_frac"].as_py()


def _items(text: str) -> int:
    """Count the members of a list: lines, or what commas and a last "and" part."""
    return sum(bool(answer_units(_BULLET.sub("", piece))) for piece in _ITEM.split(text))


def _sentences(text: str) -> int:
    return sum(bool(answer_units(piece)) for piece in _SENTENCE.split(text))


def _digit_run(text: str) -> int:
    """Return the digits of the longest number, spaces, points and hyphens inside it not counted."""
    runs = _DIGIT_RUN.findall(text.translate(DIGITS))
    return max((sum(char.isdigit() for char in run) for run in runs), default=0)


_MEASURES = {
    "khmer_frac": _khmer_frac,
    "latin_frac": _latin_frac,
    "items": _items,
    "sentences": _sentences,
    "units": lambda text: len(answer_units(text)),
    "digit_run": _digit_run,
    "numbers": lambda text: sum(unit[0].isdigit() for unit in answer_units(text)),
}
