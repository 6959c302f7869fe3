"""UTF-8 bytes -> hashes and lengths of units (Khmer clusters, words), and how they repeat.

Case is folded for ASCII. Repetition is Gopher's: the share of characters in the most frequent n-gram, and in
n-grams that were seen before.

Source: Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (2021),
    appendix A.1.1. We differ in the unit: n counts words, and Khmer, which writes no spaces, has
    `CLUSTERS_PER_WORD` clusters to the word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from tonsai_pipeline.text.characters import character_kinds
from tonsai_pipeline.text.clusters import CLUSTER, NO_UNIT, next_unit

#: Clusters in a Khmer word, measured with ICU's dictionary segmentation on news and web text.
CLUSTERS_PER_WORD = 2.5
#: Longest phrase of a word list, in units.
MAX_PHRASE_UNITS = 24

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


def hash_units(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the hash of each unit of one text, in order."""
    capacity = len(data) + 1
    hashes = np.empty(capacity, dtype=np.uint64)
    lengths = np.empty(capacity, dtype=np.int32)
    words = np.zeros(len(WORD_COUNTS))
    num_units = scan_units(data, 0, len(data), character_kinds(), hashes, lengths, words)
    return hashes[:num_units]


#: What `scan_units` counts, in this order.
WORD_COUNTS = (
    "clusters",
    "words",
    "word_chars",
    "words_with_letter",
    "inner_capital",
    "upper_case",
)
(CLUSTERS, WORDS, WORD_CHARS, WORDS_WITH_LETTER, INNER_CAPITAL, UPPER_CASE) = range(
    len(WORD_COUNTS)
)


@njit(cache=True, nogil=True)
def scan_units(data, start, end, kinds, hashes, lengths, counts):
    """Hash the units of `data[start:end]` and count their kinds.

    Args:
        data: Valid UTF-8.
        start: First byte.
        end: Byte after the last.
        kinds: `character_kinds()`.
        hashes: uint64 scratch, at least end - start; filled.
        lengths: int32 scratch, likewise; the length of each unit in code points.
        counts: float64, shape (len(WORD_COUNTS),); zeroed and filled.

    Returns:
        Number of units.
    """
    counts[:] = 0
    num_units = 0
    at, stop, kind = next_unit(data, start, end, kinds)
    while kind != NO_UNIT:
        if kind == CLUSTER:
            hashed = _FNV_START
            chars = 0
            for i in range(at, stop):
                hashed = (hashed ^ np.uint64(data[i])) * _FNV_PRIME
                chars += (data[i] & 0xC0) != 0x80
            counts[CLUSTERS] += 1
        else:
            hashed, chars = _scan_word(data, at, stop, counts)
        hashes[num_units] = mix(hashed)
        lengths[num_units] = chars
        num_units += 1
        at, stop, kind = next_unit(data, stop, end, kinds)
    return num_units


@njit(cache=True, nogil=True)
def _scan_word(data, at, stop, counts):
    """Hash a word in lower case and look at its capitals."""
    hashed = _FNV_START
    chars = 0
    lower = False
    inner = False
    capitals = 0
    letters = False
    for i in range(at, stop):
        byte = data[i]
        if 0x41 <= byte <= 0x5A:
            capitals += 1
            inner = inner or lower
            byte |= 0x20
            letters = True
        elif 0x61 <= byte <= 0x7A:
            lower = True
            letters = True
        elif byte >= 0x80:
            letters = True
        hashed = (hashed ^ np.uint64(byte)) * _FNV_PRIME
        chars += (byte & 0xC0) != 0x80
    counts[WORDS] += 1
    counts[WORD_CHARS] += chars
    counts[WORDS_WITH_LETTER] += letters
    counts[INNER_CAPITAL] += inner
    counts[UPPER_CASE] += capitals == chars and chars > 1
    return hashed, chars


@njit(cache=True, nogil=True)
def roll(hashed, unit):
    """Append a unit to the hash of a phrase; never 0."""
    return mix(hashed * _MULTIPLIER + unit + np.uint64(1)) | np.uint64(1)


@njit(cache=True, nogil=True)
def mix(value):
    """Scramble 64 bits (the finalizer of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


# --- repetition -------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def bump(key, keys, stamps, tallies, mask, generation):
    """Count a key in a table that is emptied by a new generation number; return its tally so far."""
    slot = key & mask
    while stamps[slot] == generation and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    if stamps[slot] != generation:
        stamps[slot] = generation
        keys[slot] = key
        tallies[slot] = 0
    tallies[slot] += 1
    return tallies[slot] - 1


@njit(cache=True, nogil=True)
def repeated(items, sizes, num_items, keys, stamps, tallies, generation):
    """Return the share of items, and of their characters, that were seen before in the document."""
    if num_items == 0:
        return 0.0, 0.0
    mask = np.uint64(len(keys) - 1)
    again = 0
    again_chars = 0
    chars = 0
    for i in range(num_items):
        chars += sizes[i]
        if bump(mix(items[i]), keys, stamps, tallies, mask, generation) > 0:
            again += 1
            again_chars += sizes[i]
    return again / num_items, again_chars / max(chars, 1)


@njit(cache=True, nogil=True)
def top_gram_frac(units, ends, num_units, n, keys, stamps, tallies, generation):
    """Return the share of characters in the most frequent n-gram, 0 if none comes twice.

    Args:
        units: Unit hashes.
        ends: Characters up to the end of each unit, with a leading 0; shape (num_units + 1,).
        num_units: How many units.
        n: Units in a gram.
        keys: Hash table of a power of two of at least 2 x num_units slots; also `stamps`, `tallies`.
        stamps: Which generation a slot was written in.
        tallies: Count in a slot.
        generation: A number never used before with this table.
    """
    if num_units < n:
        return 0.0
    mask = np.uint64(len(keys) - 1)
    best = 0
    best_chars = 0
    for i in range(num_units - n + 1):
        hashed = np.uint64(0)
        for j in range(n):
            hashed = hashed * _MULTIPLIER + units[i + j]
        times = bump(mix(hashed), keys, stamps, tallies, mask, generation) + 1
        chars = ends[i + n] - ends[i]
        if times > best or (times == best and chars > best_chars):
            best = times
            best_chars = chars
    if best < 2:
        return 0.0
    return min(1.0, best * best_chars / max(ends[num_units], 1))


@njit(cache=True, nogil=True)
def duplicate_gram_frac(units, ends, num_units, n, keys, stamps, tallies, generation):
    """Return the share of characters in n-grams seen before, no character counted twice."""
    if num_units < n:
        return 0.0
    mask = np.uint64(len(keys) - 1)
    power = np.uint64(1)
    for _ in range(n - 1):
        power *= _MULTIPLIER
    hashed = np.uint64(0)
    for j in range(n):
        hashed = hashed * _MULTIPLIER + units[j]
    chars = 0
    counted = 0  # units before this one are counted already
    for i in range(num_units - n + 1):
        if bump(mix(hashed), keys, stamps, tallies, mask, generation) > 0:
            chars += ends[i + n] - ends[max(i, counted)]
            counted = i + n
        if i + n < num_units:
            hashed = (hashed - units[i] * power) * _MULTIPLIER + units[i + n]
    return chars / max(ends[num_units], 1)
