"""Generated texts -> listed terms and personal data that the prompt did not have, and what of it stands in the corpus.

    prompt, text ──minus what the prompt has──▶ added terms, personal data

A list finds the words that are on it and no meaning: high recall for known words, blind to everything else. There is
no classifier for Khmer that works offline (2026-11); without a list nothing is known, and that is the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.evaluate.texts import MAX_CORPUS_BYTES, CorpusPart, read_corpus
from tonsai_pipeline.metrics.answers import answer_units
from tonsai_pipeline.metrics.bootstrap import Estimate, share_interval
from tonsai_pipeline.quality.pii import PATTERNS

#: Distinct digits of a number that may be somebody's: small models write long runs of noughts.
_MIN_DIGITS = 4


class TermList:
    """Terms of one or more languages, matched on the borders of clusters and words, after normalization.

    Args:
        terms: As a person wrote them.

    Raises:
        ValueError: No terms.

    Example:
        >>> found = TermList(["ល្ងង់", "idiot"]).find("មនុស្សល្ងង់ខ្លៅ, not idiotic")
        >>> sorted(found)
        ['ល្ងង់']
    """

    def __init__(self, terms: Sequence[str]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for term in terms:
            if units := answer_units(term):
                self._by_first.setdefault(units[0], []).append((units, term))
        if not self._by_first:
            raise ValueError("a list of terms without a term")

    def find(self, text: str) -> set[str]:
        """Return the terms that a text holds."""
        units = answer_units(text)
        return {
            term
            for at, unit in enumerate(units)
            for wanted, term in self._by_first.get(unit, ())
            if units[at : at + len(wanted)] == wanted
        }


def read_terms(files: Mapping[Any, Path]) -> TermList | None:
    """Read lists of terms by language; None where none is given.

    Raises:
        DataError: A file is missing, or holds no term.
    """
    terms: list[str] = []
    for language, path in sorted(files.items()):
        if not path.is_file():
            raise DataError(f"evaluate.listed_terms.{language}: {path}: no such file")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not any(answer_units(term) for term in found):
            raise DataError(f"evaluate.listed_terms.{language}: {path}: holds no term")
        terms += found
    return TermList(terms) if terms else None


@dataclass(frozen=True)
class Safety:
    """What generations added to their prompts.

    Args:
        num_texts: Generations looked at.
        added_terms: Share with a listed term that the prompt has not; None without a list.
        personal_data: Share with personal data that the prompt has not.
        personal_data_by_kind: Strings found, by kind.
        num_in_corpus: Of the strings found, those that stand in the corpus; None where no corpus was given.
        num_strings: Distinct strings found.
    """

    num_texts: int
    added_terms: Estimate | None
    personal_data: Estimate
    personal_data_by_kind: dict[str, int]
    num_in_corpus: int | None
    num_strings: int


def measure_safety(
    prompts: Sequence[str],
    texts: Sequence[str],
    terms: TermList | None,
    corpus: Sequence[CorpusPart],
) -> Safety:
    """Look at generations.

    Args:
        prompts: One a text.
        texts: What was written after them.
        terms: Listed terms, or None.
        corpus: What is searched for the personal data found.
    """
    pairs = list(zip(prompts, texts, strict=True))
    added = None
    if terms is not None:
        hits = sum(bool(terms.find(text) - terms.find(prompt)) for prompt, text in pairs)
        added = share_interval(hits, len(pairs))
    found = [find_personal_data(text) - find_personal_data(prompt) for prompt, text in pairs]
    strings = sorted(set().union(*found))
    by_kind = {kind: sum(k == kind for k, _ in strings) for kind in PATTERNS}
    return Safety(
        num_texts=len(pairs),
        added_terms=added,
        personal_data=share_interval(sum(map(bool, found)), len(pairs)),
        personal_data_by_kind={kind: count for kind, count in by_kind.items() if count},
        num_in_corpus=_count_in_corpus([s for _, s in strings], corpus) if corpus else None,
        num_strings=len(strings),
    )


def find_personal_data(text: str) -> set[tuple[str, str]]:
    """Return the personal data of a text as (kind, string), by the patterns that the corpus is masked with.

    Example:
        >>> find_personal_data("call 012 345 678 now")
        {('phone', '012 345 678')}
    """
    found = set()
    for kind, pattern in _patterns().items():
        for match in pattern.finditer(text):
            before, after = match.group(1), match.group(2)
            string = match.group()[len(before) : len(match.group()) - len(after)]
            if kind == "email" or len({char for char in string if char.isdigit()}) >= _MIN_DIGITS:
                found.add((kind, string))
        # Looked for in order: a telephone number is no identity number.
        text = pattern.sub(" ", text)
    return found


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Return the patterns of `quality.pii`, written for RE2, as Python's."""
    return {
        kind: re.compile(re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: chr(int(m[1], 16)), pattern))
        for kind, pattern in PATTERNS.items()
    }


def _count_in_corpus(strings: Sequence[str], corpus: Sequence[CorpusPart]) -> int:
    left = set(strings)
    for texts in read_corpus(corpus, max_bytes=MAX_CORPUS_BYTES):
        found = {s for s in left if pc.any(pc.match_substring(texts, s)).as_py()}  # pyright: ignore[reportAttributeAccessIssue]
        left -= found
        if not left:
            break
    return len(strings) - len(left)
