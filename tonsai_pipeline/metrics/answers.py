"""Answers and references -> equal, or contained on the borders of clusters; both digit systems are one.

    "ចម្លើយគឺ ៧ ថ្ងៃ។" ──answer_units──▶ (..., "7", "ថ្ងៃ")  ⊇  ("7", "ថ្ងៃ") ◀── "7ថ្ងៃ"

Khmer writes no spaces between words, so a plain substring finds a letter inside another letter's cluster. The units
compared are orthographic clusters, words of other scripts, and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tonsai_pipeline.text import clusters, normalize, words
from tonsai_pipeline.text import codepoints as cp

#: Khmer digits read as ASCII ones.
DIGITS = {cp.DIGIT_ZERO + digit: str(digit) for digit in range(10)}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def fold(text: str) -> str:
    """Return the text normalized, in lower case, with ASCII digits and no thousands separators.

    Example:
        >>> fold("តម្លៃ ១២,០០០ Riel")
        'តម្លៃ 12000 riel'
    """
    return _THOUSANDS.sub("", normalize(text).translate(DIGITS).lower())


def answer_units(text: str) -> tuple[str, ...]:
    """Return clusters, words and numbers of a text; spaces and punctuation are gone.

    Example:
        >>> answer_units("៣.៥ គីឡូ!")
        ('3.5', 'គី', 'ឡូ')
    """
    folded = fold(text)
    found = np.concatenate([clusters(folded), words(folded)])
    spans: list[tuple[int, int]] = []
    for start, end in found[np.argsort(found[:, 0])].tolist():
        if spans and _is_decimal(folded, spans[-1], (start, end)):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(folded[start:end] for start, end in spans)


def is_exact(answer: str, references: Sequence[str]) -> bool:
    """Whether an answer is one of the references, but for spaces, punctuation, case and digits."""
    own = answer_units(answer)
    return any(own == answer_units(reference) for reference in references)


def contains(answer: str, references: Sequence[str]) -> bool:
    """Whether an answer holds one of the references, on the borders of clusters, words and numbers.

    Example:
        >>> contains("there are 17 days", ["៧"]), contains("មាន៧ថ្ងៃ", ["7"])
        (False, True)
    """
    own = answer_units(answer)
    return any(_is_inside(answer_units(reference), own) for reference in references)


def _is_inside(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    size = len(part)
    return size > 0 and any(whole[at : at + size] == part for at in range(len(whole) - size + 1))


def _is_decimal(text: str, before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether two numbers are parted by one point or comma."""
    return (
        text[before[1] : after[0]] in (".", ",")
        and text[before[1] - 1].isdigit()
        and text[after[0]].isdigit()
    )
