"""Lists of frequent words -> how often each text uses each list.

Khmer writes no spaces between words, so a word is looked for as a run of whole clusters: it is
found inside a phrase and never inside a letter. Words of languages that write spaces are looked
for as whole words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.clusters import CLUSTER, NO_UNIT, next_unit
from tonsai_pipeline.text.utf8 import (
    Texts,
    Utf8Batch,
    batch_of_arrow,
    batch_of_text,
    decode,
    frozen,
)

#: Units of the longest word a lexicon can hold; a power of two.
MAX_UNITS = 4

#: A power of two, twice as many as the words: a look-up is a mask and, mostly, one comparison.
_NUM_SLOTS = 4096
_WHOLE = np.uint64(1) << np.uint64(63)


class Lexicon:
    """Some lists of words, ready to be counted.

    Args:
        words: list name -> its words. A word has at most `MAX_UNITS` clusters.
        spaced: names of lists whose words count only between spaces or khans.

    Raises:
        ValueError: a word of no unit or of too many, or more than 63 lists or 2,000 words.

    Examples:
        >>> import pyarrow as pa
        >>> lexicon = Lexicon({"khm": ["បាន", "នៅ"], "eng": ["the"]})
        >>> lexicon.count(pa.array(["គាត់បាននៅផ្ទះ", "The other one"])).tolist()
        [[2, 0], [0, 1]]
    """

    def __init__(self, words: Mapping[str, Sequence[str]], spaced: Sequence[str] = ()) -> None:
        self.names = tuple(words)
        self._keys = np.zeros(_NUM_SLOTS, dtype=np.uint64)
        self._lists = np.zeros(_NUM_SLOTS, dtype=np.uint64)
        if len(words) > 63 or sum(map(len, words.values())) > _NUM_SLOTS // 2:
            raise ValueError("a lexicon holds at most 63 lists and 2,000 words")
        for index, (name, entries) in enumerate(words.items()):
            bits = np.uint64(1 << index) | (_WHOLE if name in spaced else np.uint64(0))
            for word in entries:
                self._add(word, bits)
        self._keys, self._lists = frozen(self._keys), frozen(self._lists)

    def count(self, texts: Texts) -> npt.NDArray[np.int32]:
        """Return how often each text uses each list, shape (num_texts, num_lists)."""
        return self.count_in(batch_of_arrow(texts))

    def count_in(self, batch: Utf8Batch) -> npt.NDArray[np.int32]:
        """Count as `count` does, in a batch of valid UTF-8."""
        tables = ch.character_kinds(), self._keys, self._lists
        return count_words_of_lists(*batch, *tables, len(self.names))

    def _add(self, word: str, bits: np.uint64) -> None:
        data = batch_of_text(word).data
        key, num_units = _key_of_word(data, ch.character_kinds())
        if not 1 <= num_units <= MAX_UNITS:
            raise ValueError(f"{word!r} has {num_units} units; a lexicon takes 1 to {MAX_UNITS}")
        slot = int(key) % _NUM_SLOTS
        while self._keys[slot] not in (0, key):
            slot = (slot + 1) % _NUM_SLOTS
        self._keys[slot] = key
        self._lists[slot] |= bits


# --- compiled ---------------------------------------------------------------------------------

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def unit_hash(data, start, end):
    """Return the 64-bit hash of `data[start:end]`, upper-case ASCII read as lower-case.

    Source: FNV-1a (Fowler, Noll, Vo), http://www.isthe.com/chongo/tech/comp/fnv/
    """
    value = _FNV_OFFSET
    for at in range(start, end):
        byte = data[at]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        value = (value ^ np.uint64(byte)) * _FNV_PRIME
    return value


@njit(cache=True, nogil=True)
def join_hashes(first, second):
    """Return the hash of two runs of units, one after the other."""
    mixed = (first * _MIX) ^ (second + (first >> np.uint64(29)))
    return mixed if mixed != 0 else np.uint64(1)


@njit(cache=True, nogil=True)
def _key_of_word(data, kinds):
    start, stop, kind = next_unit(data, 0, len(data), kinds)
    key, num_units = np.uint64(0), 0
    while kind != NO_UNIT:
        key = join_hashes(key, unit_hash(data, start, stop))
        num_units += 1
        start, stop, kind = next_unit(data, stop, len(data), kinds)
    return key, num_units


@njit(cache=True, nogil=True)
def count_words_of_lists(data, offsets, kinds, keys, lists, num_lists):
    """Count the words of each list in each text; int32, shape (num_texts, num_lists)."""
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, num_lists), dtype=np.int32)
    recent = np.zeros(MAX_UNITS, dtype=np.uint64)
    for text in range(num_texts):
        end, run, last, opened = offsets[text + 1], 0, np.int64(-1), False
        start, stop, kind = next_unit(data, offsets[text], end, kinds)
        while kind != NO_UNIT:
            run = run + 1 if start == last and kind == CLUSTER else 1
            recent[run & (MAX_UNITS - 1)] = unit_hash(data, start, stop)
            if run == 1:
                opened = start == offsets[text] or _is_gap_before(data, start)
            closed = opened and (stop == end or _is_gap(data, stop))
            _count_words_ending_here(recent, run, closed, keys, lists, counts[text])
            last = stop
            start, stop, kind = next_unit(data, stop, end, kinds)
    return counts


@njit(cache=True, nogil=True)
def _is_gap(data, at):
    """Tell whether white space or a khan starts at `at`: what ends a word, not what abbreviates."""
    if data[at] <= 0x20:
        return True
    code_point, _ = decode(data, at)
    return code_point == cp.NO_BREAK_SPACE or cp.KHAN <= code_point <= cp.CAMNUC_PII_KUUH


@njit(cache=True, nogil=True)
def _is_gap_before(data, at):
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return _is_gap(data, at)


@njit(cache=True, nogil=True)
def _count_words_ending_here(recent, run, closed, keys, lists, counts):
    """Look up the runs of 1 to `MAX_UNITS` units that end with the newest one."""
    for num_units in range(1, min(run, MAX_UNITS) + 1):
        key = np.uint64(0)
        for unit in range(run - num_units + 1, run + 1):
            key = join_hashes(key, recent[unit & (MAX_UNITS - 1)])
        slot = np.int64(key & np.uint64(_NUM_SLOTS - 1))
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & (_NUM_SLOTS - 1)
        found = lists[slot]
        if keys[slot] == 0 or (found & _WHOLE and not (closed and num_units == run)):
            continue
        for index in range(len(counts)):
            counts[index] += np.int32((found >> np.uint64(index)) & np.uint64(1))
