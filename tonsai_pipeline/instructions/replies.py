"""A reply and what it replies to -> why it should not be learned: refusals, cut ends, another language, garbage.

instruction, reply, what was measured of it ──judge──▶ None, or a reason
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

#: Why a conversation is dropped for a reply.
REPLY_REASONS: Mapping[str, str] = {
    "placeholder_reply": "a reply stands for one that is missing, as `<nooutput>`",
    "echoed_instruction": "a reply is the instruction again",
    "refusal": "a reply speaks as an AI that cannot",
    "cut_reply": "a long reply ends in the middle of a sentence",
    "reply_in_another_language": "a reply is not in the language that was asked for",
    "looping_reply": "a reply says a long stretch twice",
    "broken_khmer": "a reply holds clusters that no Khmer word has, or bytes that are no text",
}

#: Where a refusal begins, if it is one: later on the words are quoted.
_HEAD_CHARS = 120
#: A reply that is shorter, in characters, may end as it likes; ours.
_LONG_CHARS = 200
#: A last line that is shorter is an entry of a list or a verse; ours.
_LONG_LINE_CHARS = 60
_LIST_ITEM = re.compile(r"^\s*(?:[-*•|+]|\d+[.)\]]|[\u17e0-\u17e9]+[.)\]])")
#: Letters, marks and commas end no sentence; whatever else may.
_UNFINISHED = re.compile(r"[\w,;\u1780-\u17d3\u200b(\[{/-]$")
_CODE = re.compile(r"```.*?(?:```|$)|`[^`]*`", re.DOTALL)


@dataclass(frozen=True)
class Measured:
    """What was measured of a reply.

    Args:
        khmer_frac: Khmer letters among its letters, 0..1.
        num_letters: Its letters.
        asked_khmer_frac: The same as `khmer_frac` of the turn before.
        asked_letters: Letters of the turn before.
        repeat_frac: Longest stretch that it says twice, as a share of it; 0 for a short reply.
        invalid_cluster_frac: Khmer clusters that no Khmer word has, as a share of all of them.
        num_replacement: Characters that stand for bytes which are no UTF-8.
    """

    khmer_frac: float
    num_letters: int
    asked_khmer_frac: float
    asked_letters: int
    repeat_frac: float = 0.0
    invalid_cluster_frac: float = 0.0
    num_replacement: int = 0


@dataclass(frozen=True)
class Limits:
    """What a reply must be; see the recipe's `sft.replies`."""

    drop_refusals: bool = True
    drop_cut: bool = True
    min_script_frac: float = 0.5
    max_repeat_frac: float = 0.3
    max_invalid_cluster_frac: float = 0.05


def judge(
    instruction: str, reply: str, measured: Measured, limits: Limits, lang: str | None = None
) -> str | None:
    """Return why a reply should not be learned, None if it may be.

    Args:
        instruction: The turn before it.
        reply: The reply, stripped.
        measured: What was measured of it, without what stands in code.
        limits: What is dropped.
        lang: Language that the source's replies are in; None: that of the instruction.
    """
    said = reply.lower()
    broken = measured.invalid_cluster_frac > limits.max_invalid_cluster_frac
    wanted = wanted_language(instruction, measured, lang)
    facts = {
        "placeholder_reply": _is_placeholder(said),
        "echoed_instruction": len(said) > 1 and said == instruction.strip().lower(),
        "refusal": limits.drop_refusals and _any(said[:_HEAD_CHARS], "refusals"),
        "broken_khmer": broken or measured.num_replacement > 0,
        "looping_reply": measured.repeat_frac > limits.max_repeat_frac,
        "reply_in_another_language": not _is_in(wanted, measured, limits.min_script_frac),
        "cut_reply": limits.drop_cut and is_cut(reply),
    }
    return next((reason for reason, holds in facts.items() if holds), None)


def wanted_language(instruction: str, measured: Measured, lang: str | None) -> str | None:
    """Return the language that a reply should be in: the one asked for by name, or that of the source or of the turn.

    None where any may be right, as for a translation into what is not named.
    """
    asked = instruction.lower()
    english, khmer = _any(asked, "asks_for_english"), _any(asked, "asks_for_khmer")
    if english != khmer:
        return "eng" if english else "khm"
    if english or _any(asked, "translation"):
        return None
    if lang is not None or not measured.asked_letters:
        return lang
    return "khm" if measured.asked_khmer_frac >= 0.5 else "eng"


def is_cut(reply: str) -> bool:
    """Whether a long reply ends in the middle of a sentence.

    Example:
        >>> sentence = "The river rises in the rainy season and floods the fields beside it. "
        >>> (
        ...     is_cut(sentence * 4),
        ...     is_cut(
        ...         sentence * 4 + "After that the farmers begin to plant the rice that they and"
        ...     ),
        ... )
        (False, True)
    """
    last = reply.rstrip().rsplit("\n", 1)[-1]
    if len(reply) < _LONG_CHARS or _LIST_ITEM.match(last) or len(last) < _LONG_LINE_CHARS:
        return len(reply) >= _LONG_CHARS and reply.rstrip().endswith((",", "(", "["))
    return _UNFINISHED.search(last) is not None


def prose_of(reply: str) -> str:
    """Return a reply without the programs in it, whose letters are Latin in any language."""
    return _CODE.sub(" ", reply)


def _is_placeholder(said: str) -> bool:
    """A short placeholder is the whole reply; others may stand in it."""
    found = _phrases("placeholders")
    return said in found or any(len(one) > 3 and one in said for one in found)


def _is_in(wanted: str | None, measured: Measured, min_script_frac: float) -> bool:
    if wanted is None or not measured.num_letters:
        return True
    frac = measured.khmer_frac if wanted == "khm" else 1.0 - measured.khmer_frac
    return frac >= min_script_frac


def _any(text: str, name: str) -> bool:
    return any(phrase in text for phrase in _phrases(name))


@cache
def _phrases(name: str) -> Sequence[str]:
    found = json.loads((files("tonsai_pipeline.instructions") / "phrases.json").read_bytes())
    return tuple(found[name])
