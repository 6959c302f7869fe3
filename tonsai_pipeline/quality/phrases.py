"""Word lists -> a table that finds them in text on cluster and word boundaries.

    ["word", "two words"] ──compile_phrases──▶ Phrases ──match──▶ units covered, phrases found

A phrase is a run of units (Khmer clusters, words of other scripts), so a Khmer word is never found in the
middle of a letter, and an English one never inside another word. Khmer words have no boundaries in writing:
a short Khmer phrase is also found where it is a syllable of a longer word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tonsai_pipeline.quality.units import MAX_PHRASE_UNITS, hash_units, roll
from tonsai_pipeline.text.utf8 import batch_of_text, frozen


class Phrases(NamedTuple):
    """An open hash table of phrases.

    Args:
        keys: Hash of a phrase, 0 where a slot is empty; uint64, shape (capacity,), capacity a power of two.
        max_units: Units of the longest phrase.
    """

    keys: npt.NDArray[np.uint64]
    max_units: int


class MarkedPhrases(NamedTuple):
    """Several lists in one table, so that one pass over a text counts them all.

    Args:
        keys: As in `Phrases`.
        marks: The number of the list that the phrase in a slot is of, uint8, shape (capacity,).
        max_units: Units of the longest phrase.
    """

    keys: npt.NDArray[np.uint64]
    marks: npt.NDArray[np.uint8]
    max_units: int


def compile_phrases(phrases: Iterable[str]) -> Phrases:
    """Build the table.

    Raises:
        ValueError: A phrase has no letter, or more than `MAX_PHRASE_UNITS` units.

    Example:
        >>> compile_phrases(["hello", "good bye"]).max_units
        2
    """
    keys, _, longest = compile_lists([phrases])
    return Phrases(keys, longest)


def compile_lists(lists: Sequence[Iterable[str]]) -> MarkedPhrases:
    """Build one table of several lists; a phrase of two lists counts for the first.

    Raises:
        ValueError: As `compile_phrases`.
    """
    found, longest = [], 0
    for number, phrases in enumerate(lists):
        for phrase in phrases:
            units = hash_units(batch_of_text(phrase).data)
            if not 1 <= len(units) <= MAX_PHRASE_UNITS:
                raise ValueError(
                    f"phrase {phrase!r} has {len(units)} units (Khmer clusters or words); "
                    f"1 to {MAX_PHRASE_UNITS} can be matched"
                )
            longest = max(longest, len(units))
            found.append((np.uint64(_hash_phrase(units)), number))
    capacity = 16
    while capacity < 4 * len(found):
        capacity *= 2
    keys, marks = np.zeros(capacity, dtype=np.uint64), np.zeros(capacity, dtype=np.uint8)
    for hashed, number in found:
        _insert(keys, marks, hashed, number)
    return MarkedPhrases(frozen(keys), frozen(marks), longest)


@njit(cache=True, nogil=True)
def match_phrases(units, num_units, keys, max_units):
    """Find phrases from left to right, the longest first, without overlap.

    Args:
        units: Unit hashes of a document, uint64.
        num_units: How many of them.
        keys: `Phrases.keys`.
        max_units: `Phrases.max_units`.

    Returns:
        Number of phrases found, number of different ones (up to 64), number of units they cover.
    """
    found = 0
    covered = 0
    different = 0
    seen = np.zeros(64, dtype=np.uint64)
    at = 0
    while at < num_units:
        best = 0
        best_hash = np.uint64(0)
        hashed = np.uint64(0)
        for length in range(1, min(max_units, num_units - at) + 1):
            hashed = roll(hashed, units[at + length - 1])
            if _contains(keys, hashed):
                best = length
                best_hash = hashed
        if best == 0:
            at += 1
            continue
        found += 1
        covered += best
        at += best
        if different < 64:
            new = True
            for i in range(different):
                if seen[i] == best_hash:
                    new = False
                    break
            if new:
                seen[different] = best_hash
                different += 1
    return found, different, covered


@njit(cache=True, nogil=True)
def _hash_phrase(units):
    hashed = np.uint64(0)
    for unit in units:
        hashed = roll(hashed, unit)
    return hashed


@njit(cache=True, nogil=True)
def count_lists(units, num_units, keys, marks, max_units, counts):
    """Add to `counts`, shape (num_lists,), the phrases found of each list: left to right, longest first."""
    at = 0
    while at < num_units:
        best, mark = 0, 0
        hashed = np.uint64(0)
        for length in range(1, min(max_units, num_units - at) + 1):
            hashed = roll(hashed, units[at + length - 1])
            slot = _slot_of(keys, hashed)
            if slot >= 0:
                best, mark = length, marks[slot]
        if best:
            counts[mark] += 1
        at += max(best, 1)


@njit(cache=True, nogil=True)
def _insert(keys, marks, hashed, mark):
    mask = np.uint64(len(keys) - 1)
    slot = hashed & mask
    while keys[slot] != 0:
        if keys[slot] == hashed:
            return
        slot = (slot + np.uint64(1)) & mask
    keys[slot] = hashed
    marks[slot] = mark


@njit(cache=True, nogil=True)
def _contains(keys, hashed):
    return _slot_of(keys, hashed) >= 0


@njit(cache=True, nogil=True)
def _slot_of(keys, hashed):
    """Return where a phrase stands, -1 if it is not in the table."""
    mask = np.uint64(len(keys) - 1)
    slot = hashed & mask
    while keys[slot] != 0:
        if keys[slot] == hashed:
            return np.int64(slot)
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)
