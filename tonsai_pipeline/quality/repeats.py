"""Running hashes of a document's units -> how much of it repeats: Gopher's shares of n-grams, and of lines.

    n-grams of 2 words ──those that come twice──▶ of 3 words ──▶ ... ──▶ of 10 words

An n-gram comes twice only where the shorter ones at both of its ends do, so each length looks at what the one before
left over, and most documents are done after the pairs.

Source: Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (2021),
    appendix A.1.1. We differ in the unit: n counts words, and Khmer, which writes no spaces, has
    `CLUSTERS_PER_WORD` clusters to the word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.quality.units import MULTIPLIER, run_hash

#: Words in the n-grams of which the most frequent counts, and in those of which every repeat counts.
TOP_GRAMS = (2, 3, 4)
DUPLICATE_GRAMS = (5, 6, 7, 8, 9, 10)
_GRAMS = TOP_GRAMS + DUPLICATE_GRAMS
_NUM_TOP = len(TOP_GRAMS)


class Scratch(NamedTuple):
    """Memory for finding equal items, used again for each document; every array is written before it is read.

    Args:
        starts: First unit of each n-gram that is looked at, int32, as all but `table`.
        keys: Hash of each item, uint64.
        first: The first item that equals each item.
        times: How often a first item comes.
        table: Hash table of items, counted from 1.
    """

    starts: npt.NDArray[np.int32]
    keys: npt.NDArray[np.uint64]
    first: npt.NDArray[np.int32]
    times: npt.NDArray[np.int32]
    table: npt.NDArray[np.int32]

    @classmethod
    def of(cls, num_items: int) -> Scratch:
        """Return memory for so many items."""
        starts, first, times = np.empty((3, num_items), dtype=np.int32)
        table = np.empty(_table_size.py_func(num_items), dtype=np.int32)
        return cls(starts, np.empty(num_items, dtype=np.uint64), first, times, table)


@inner
def gram_shares(hashes, ends, num_units, units_per_word, scratch, shares):
    """Fill in the share of characters in repeated n-grams, for each of `TOP_GRAMS` and `DUPLICATE_GRAMS`.

    Args:
        hashes: Running hashes, from `scan_units`.
        ends: Code points before each unit, likewise.
        num_units: How many units.
        units_per_word: Units in a word of this document, at least 1.
        scratch: `Scratch.of` at least so many units.
        shares: float32, zeros.
    """
    before, num = 0, num_units
    for i, words in enumerate(_GRAMS):
        n = max(1, int(words * units_per_word + 0.5))
        num = _keep_extensible(scratch.starts, num, n - before) if i else num_units - n + 1
        _hash_grams(hashes, n, num, i == 0, scratch)
        if find_equal(num, scratch) == 0:
            return
        if i < _NUM_TOP:
            chars = _top_chars(ends, n, num, scratch)
        else:
            chars = _repeated_chars(ends, n, num, scratch)
        shares[i] = min(1.0, chars / max(ends[num_units], 1))
        num = _keep_repeated(num, scratch)
        before = n


@inner
def repeated_shares(hashes, sizes, num_items, scratch):
    """Return the share of lines (or paragraphs), and of their characters, that were seen before in the document."""
    for i in range(num_items):
        scratch.keys[i] = hashes[i]
    find_equal(num_items, scratch)
    again, again_chars, chars = 0, 0, 0
    for i in range(num_items):
        chars += sizes[i]
        if scratch.first[i] != i:
            again += 1
            again_chars += sizes[i]
    return again / max(num_items, 1), again_chars / max(chars, 1)


@inner
def find_equal(num, scratch):
    """Fill in `first` and `times` for the first `num` keys; return how many items have come before."""
    _, keys, first, times, table = scratch
    size = _table_size(num)
    table[:size] = 0
    num_repeated = 0
    for i in range(num):
        key = keys[i]
        slot = np.int64(key) & (size - 1)
        while table[slot] and keys[table[slot] - 1] != key:
            slot = (slot + 1) & (size - 1)
        if table[slot]:
            first[i] = table[slot] - 1
            times[first[i]] += 1
            num_repeated += 1
        else:
            table[slot] = i + 1
            first[i], times[i] = i, 1
    return num_repeated


@kernel
def _table_size(num_items):
    """Return a power of two of which at most half is filled."""
    size = 16
    while size < 2 * num_items:
        size *= 2
    return size


@inner
def _hash_grams(hashes, n, num, everywhere, scratch):
    power = np.uint64(1)
    for _ in range(n):
        power *= MULTIPLIER
    for i in range(num):
        if everywhere:
            scratch.starts[i] = i
        scratch.keys[i] = run_hash(hashes, scratch.starts[i], n, power)


@inner
def _keep_extensible(starts, num, longer):
    """Keep the starts of n-grams that are followed, `longer` units on, by the start of another; return how many."""
    kept, other = 0, 0
    for i in range(num):
        wanted = starts[i] + longer
        while other < num and starts[other] < wanted:
            other += 1
        if other == num:
            break
        if starts[other] == wanted:
            starts[kept] = starts[i]
            kept += 1
    return kept


@inner
def _keep_repeated(num, scratch):
    """Keep the starts of n-grams that come twice; return how many."""
    kept = 0
    for i in range(num):
        if scratch.times[scratch.first[i]] > 1:
            scratch.starts[kept] = scratch.starts[i]
            kept += 1
    return kept


@inner
def _top_chars(ends, n, num, scratch):
    """Return the characters in the most frequent n-gram; of two as frequent, the longer one."""
    best, best_chars = 0, 0
    for i in range(num):
        if scratch.first[i] != i:
            continue
        times, start = scratch.times[i], scratch.starts[i]
        chars = ends[start + n] - ends[start]
        if times > best or (times == best and chars > best_chars):
            best, best_chars = times, chars
    return best * best_chars


@inner
def _repeated_chars(ends, n, num, scratch):
    """Return the characters in n-grams seen before, no character counted twice."""
    chars = 0
    counted = 0  # units before this one are counted already
    for i in range(num):
        if scratch.first[i] != i:
            start = scratch.starts[i]
            chars += ends[start + n] - ends[max(start, counted)]
            counted = start + n
    return chars
