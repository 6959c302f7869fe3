"""Word lists -> a table that finds them in text on cluster and word boundaries.

    [["word", "two words"], [...]] ──compile_lists──▶ Phrases ──count_lists──▶ phrases found of each list, units covered

A phrase is a run of units (Khmer clusters, words of other scripts), so a Khmer word is never found in the
middle of a letter, and an English one never inside another word. Khmer words have no boundaries in writing:
a short Khmer phrase is also found where it is a syllable of a longer word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.quality.units import MAX_PHRASE_UNITS, POWERS, hash_units, run_hash
from tonsai_pipeline.text.utf8 import batch_of_text, frozen

_BEGINNING = (
    255  # marks what is no phrase, but how one begins: where even that is missing, the search ends
)


class Phrases(NamedTuple):
    """Several lists in one open hash table, so that one pass over a text counts them all.

    Args:
        keys: Hash of a phrase or of its beginning, 0 where a slot is empty; uint64, shape (capacity,), capacity a
            power of two.
        marks: The number of the list that the phrase in a slot is of, uint8, shape (capacity,).
        max_units: Units of the longest phrase.
    """

    keys: npt.NDArray[np.uint64]
    marks: npt.NDArray[np.uint8]
    max_units: int


def compile_phrases(phrases: Iterable[str]) -> Phrases:
    """Build the table of one list.

    Raises:
        ValueError: A phrase has no letter, or more than `MAX_PHRASE_UNITS` units.

    Example:
        >>> compile_phrases(["hello", "good bye"]).max_units
        2
    """
    return compile_lists([phrases])


def compile_lists(lists: Sequence[Iterable[str]]) -> Phrases:
    """Build one table of several lists, 255 at most; a phrase of two lists counts for the first.

    Raises:
        ValueError: As `compile_phrases`.
    """
    marks: dict[int, int] = {}
    longest = 0
    for number, phrases in enumerate(lists):
        for phrase in phrases:
            hashes = hash_units(batch_of_text(phrase).data)
            num_units = len(hashes) - 1
            if not 1 <= num_units <= MAX_PHRASE_UNITS:
                raise ValueError(
                    f"phrase {phrase!r} has {num_units} units (Khmer clusters or words); "
                    f"1 to {MAX_PHRASE_UNITS} can be matched"
                )
            longest = max(longest, num_units)
            *beginnings, whole = hashes[1:].tolist()
            for hashed in beginnings:
                marks.setdefault(hashed, _BEGINNING)
            marks[whole] = min(number, marks.get(whole, _BEGINNING))
    capacity = 16
    while capacity < 4 * len(marks):
        capacity *= 2
    keys, slots = np.zeros(capacity, dtype=np.uint64), np.zeros(capacity, dtype=np.uint8)
    for hashed, mark in marks.items():
        slot = hashed % capacity
        while keys[slot]:
            slot = (slot + 1) % capacity
        keys[slot], slots[slot] = hashed, mark
    return Phrases(frozen(keys), frozen(slots), longest)


@kernel
def count_lists(hashes, num_units, keys, marks, max_units, counts):
    """Find phrases from left to right, the longest first, without overlap.

    Args:
        hashes: Running hashes of a document, from `scan_units`.
        num_units: How many units it has.
        keys: As in `Phrases`; likewise the next two.
        marks: See `keys`.
        max_units: See `keys`.
        counts: The phrases found of each list are added; shape (num_lists,).

    Returns:
        Number of units they cover.
    """
    mask = len(keys) - 1
    at, covered = 0, 0
    while at < num_units:
        best, mark = 0, 0
        for length in range(1, min(max_units, num_units - at) + 1):
            hashed = run_hash(hashes, at, length, POWERS[length])
            slot = np.int64(hashed) & mask
            while keys[slot] != 0 and keys[slot] != hashed:
                slot = (slot + 1) & mask
            if keys[slot] == 0:
                break
            if marks[slot] != _BEGINNING:
                best, mark = length, marks[slot]
        if best:
            counts[mark] += 1
            covered += best
        at += max(best, 1)
    return covered
