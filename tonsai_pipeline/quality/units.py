"""UTF-8 bytes -> units (Khmer clusters, words) as running hashes, so that the hash of any run of them is a subtraction.

    units u0 u1 u2 ... -> hashes[i] = u0 M^(i-1) + ... + u(i-1)        hash of the n units from i on: see `run_hash`

Case is folded for ASCII.

Source: Karp and Rabin, "Efficient randomized pattern-matching algorithms" (1987), with 64 bits that overflow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text.characters import character_kinds
from tonsai_pipeline.text.clusters import CLUSTER, NO_UNIT, next_unit

#: Clusters in a Khmer word, measured with ICU's dictionary segmentation on news and web text.
CLUSTERS_PER_WORD = 2.5
#: Longest phrase of a word list, in units.
MAX_PHRASE_UNITS = 24

#: Multiplier of the running hash, and its powers up to the longest phrase.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
POWERS: npt.NDArray[np.uint64] = np.array(
    [pow(int(MULTIPLIER), n, 1 << 64) for n in range(MAX_PHRASE_UNITS + 1)], dtype=np.uint64
)
_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


def hash_units(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the running hashes of one text's units, shape (num_units + 1,)."""
    hashes = np.empty(len(data) + 1, dtype=np.uint64)
    ends = np.empty(len(data) + 1, dtype=np.int64)
    words = np.zeros(len(WORD_COUNTS))
    num_units = scan_units(data, 0, len(data), character_kinds(), hashes, ends, words)
    return hashes[: num_units + 1]


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


@kernel
def scan_units(data, start, end, kinds, hashes, ends, counts):
    """Hash the units of `data[start:end]` and count their kinds.

    Args:
        data: Valid UTF-8.
        start: First byte.
        end: Byte after the last.
        kinds: `character_kinds()`.
        hashes: uint64 scratch, at least end - start + 1; filled with the running hash before each unit and after the
            last.
        ends: int64 scratch, likewise; filled with the code points in units before each unit, and in all.
        counts: float64, shape (len(WORD_COUNTS),); zeroed and filled.

    Returns:
        Number of units.
    """
    counts[:] = 0
    num_units, num_clusters = 0, 0
    hashes[0], ends[0] = 0, 0
    at, stop, kind = next_unit(data, start, end, kinds)
    while kind != NO_UNIT:
        if kind == CLUSTER:
            hashed = _FNV_START
            chars = 0
            for i in range(at, stop):
                hashed = (hashed ^ np.uint64(data[i])) * _FNV_PRIME
                chars += (data[i] & 0xC0) != 0x80
            num_clusters += 1
        else:
            hashed, chars = _scan_word(data, at, stop, counts)
        hashes[num_units + 1] = hashes[num_units] * MULTIPLIER + mix(hashed)
        ends[num_units + 1] = ends[num_units] + chars
        num_units += 1
        at, stop, kind = next_unit(data, stop, end, kinds)
    counts[CLUSTERS] = num_clusters
    return num_units


@inner
def run_hash(hashes, at, n, power):
    """Return the hash of the `n` units from unit `at` on; `power` is `MULTIPLIER` to the n-th."""
    return hashes[at + n] - hashes[at] * power


@inner
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


@inner
def mix(value):
    """Scramble 64 bits (the finalizer of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
