"""Texts -> what is counted in each, in one pass: letters by script, clusters and words, strange words, words of lists.

    text ──one unit after the other──▶ counts (num_texts, len(COUNTED)) · words of lists (num_texts, num_lists)

Languages, damage and shares of scripts are decided by these counts, so a text is read once for all of them. Khmer and
ASCII, nearly all of the bytes, have loops of their own; the rest goes by `clusters.next_unit`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.clusters import CLUSTER, NO_UNIT, WORD, kind_of, next_unit
from tonsai_pipeline.text.scan import ascii_run, khmer_index
from tonsai_pipeline.text.strange_words import lacks_vowels, read_word
from tonsai_pipeline.text.utf8 import decode

#: What is counted. Letters: Khmer with vowels and signs, Latin, of other scripts; Latin ones outside ASCII; SHA, SSO and
#: ATTHACAN, which Modern Khmer does not use and minority languages, Sanskrit and inscriptions do. Units: clusters and words,
#: those with Latin letters, and the strange and the blurred ones among these (`strange_words`).
COUNTED = (
    "khmer",
    "latin",
    "other",
    "accented",
    "odd",
    "clusters",
    "words",
    "latin_words",
    "strange",
    "blurred",
)
KHMER, LATIN, OTHER, ACCENTED, ODD, CLUSTERS, WORDS, LATIN_WORDS, STRANGE, BLURRED = range(10)

#: Units of the longest word of a list.
MAX_UNITS = 4
#: Slots of a table of words, a power of two; and of a table of the units that words end with.
NUM_SLOTS = 4096
ENDING_SHIFT = np.uint64(52)  # leaves twelve bits of a hash
#: Bit of a list whose words count only between spaces or khans.
WHOLE = np.uint64(1) << np.uint64(63)


class Tally(NamedTuple):
    """Counts of a batch: `counts`, int64 (num_texts, len(COUNTED)); `listed`, int32 (num_texts, num_lists)."""

    counts: npt.NDArray[np.int64]
    listed: npt.NDArray[np.int32]

    def of(self, column: int) -> npt.NDArray[np.int64]:
        """Return one count of every text."""
        return self.counts[:, column]


# --- tables ---------------------------------------------------------------------------------------

_APOSTROPHE = 0x27
#: Of a character of the Khmer block: in a cluster, a base, a letter of `odd`, the coeng.
_IN_CLUSTER, _IS_BASE, _IS_ODD, _IS_COENG = 1, 2, 4, 8
#: What a byte adds to the facts of its word: a letter, a capital, a vowel, a digit; sixteen bits each.
_CAPITAL, _VOWEL, _DIGIT = 16, 32, 48
#: A word of more bytes is counted by `read_word`: its facts do not fit.
_MAX_WORD_BYTES = 0x7FFF


def _block() -> npt.NDArray[np.uint8]:
    kinds = ch.character_kinds()[cp.KHMER_FIRST : cp.KHMER_LAST + 1]
    table = _IN_CLUSTER * np.isin(kinds, (ch.KHMER_BASE, ch.KHMER_MARK)).astype(np.uint8)
    table |= _IS_BASE * (kinds == ch.KHMER_BASE).astype(np.uint8)
    for code_point in (cp.LETTER_SHA, cp.LETTER_SSO, cp.ATTHACAN):
        table[code_point - cp.KHMER_FIRST] |= _IS_ODD
    table[cp.COENG - cp.KHMER_FIRST] |= _IS_COENG
    return table


def _facts() -> npt.NDArray[np.int64]:
    table = np.zeros(128, dtype=np.int64)
    for byte in range(128):
        letter = chr(byte)
        table[byte] = letter.isalpha() | letter.isupper() << _CAPITAL | letter.isdigit() << _DIGIT
        table[byte] |= (letter.lower() in set("aeiouy")) << _VOWEL
    return table


_BLOCK, _FACTS = _block(), _facts()

# --- compiled -------------------------------------------------------------------------------------

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
#: Units before the first of a stretch whose hashes are kept in front of its own.
BEFORE = MAX_UNITS - 1
#: Most units of a stretch: what is kept of them stays in the processor's cache.
MAX_STRETCH = 4096


@kernel
def tally_texts(data, offsets, kinds, keys, lists, endings, num_lists):
    """Count in each text of valid UTF-8; return the two arrays of `Tally`.

    A stretch of Khmer or of ASCII is cut into units without a branch that depends on where they end, which no
    processor foresees; then the units are looked up.

    `kinds` is `characters.character_kinds()`; `keys`, `lists` and `endings` are the tables of a `lexicon.Lexicon`.
    """
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, len(COUNTED)), dtype=np.int64)
    listed = np.zeros((num_texts, num_lists), dtype=np.int32)
    hashes = np.zeros(BEFORE + MAX_STRETCH + 1, dtype=np.uint64)
    spans = np.zeros((BEFORE + MAX_STRETCH + 1, 4), dtype=np.int64)
    for text in range(num_texts):
        at, first, end = offsets[text], offsets[text], offsets[text + 1]
        run, run_start, last = 0, at, np.int64(-1)
        row, found = counts[text], listed[text]
        while at < end:
            length = ascii_run(data, at, min(end, at + 2 * MAX_STRETCH))
            if length > 0:
                stop = _end_of_words(data, at, at + length, end)
                if stop > at:
                    num = _read_words(data, at, stop, hashes, spans)
                    _count_words(data, num, spans, kinds, row)
                    for unit in range(BEFORE, BEFORE + num):
                        lengths = endings[hashes[unit] >> ENDING_SHIFT]
                        if lengths & 1:
                            place = (first, spans[unit, 0], spans[unit, 1], end)
                            one, alone = np.int64(1), np.uint8(1)
                            _count_listed(data, place, hashes, unit, one, alone, keys, lists, found)
                    at = stop
                    continue
            start, stop, num, kind = at, at, 0, CLUSTER
            if length == 0:
                stop, num, letters, odd = read_clusters(data, at, end, hashes, spans)
                row[CLUSTERS] += num
                row[KHMER] += letters
                row[ODD] += odd
            if num == 0:
                start, stop, kind = next_unit(data, at, end, kinds)
                if kind == NO_UNIT:
                    break
                _count_any(data, start, stop, kind, kinds, row)
                hashes[BEFORE] = unit_hash(data, start, stop)
                spans[BEFORE, 1] = stop
                num = 1
            if start != last or kind == WORD:
                run, run_start = 0, start
            for unit in range(BEFORE, BEFORE + num):
                run += 1
                lengths = endings[hashes[unit] >> ENDING_SHIFT]
                if lengths:
                    place = (first, run_start, spans[unit, 1], end)
                    _count_listed(data, place, hashes, unit, run, lengths, keys, lists, found)
            for unit in range(BEFORE):
                hashes[unit] = hashes[unit + num]
            at = last = stop
    return counts, listed


@inner
def read_clusters(data, at, end, hashes, spans):
    """Read the clusters of a stretch of Khmer; write the hash of each and where it ends, from `BEFORE` on.

    Returns:
        The byte after them, how many they are, and their letters, all of them and the odd ones.
    """
    num, letters, odd, held = 0, 0, 0, False
    hashed = _FNV_OFFSET
    while True:
        index = khmer_index(data, at, end)
        while index >= 0:
            what = _BLOCK[index]
            if not what & _IN_CLUSTER:
                break
            starts = num == 0 or (what & _IS_BASE != 0 and not held)
            if starts and num == MAX_STRETCH:
                break
            num += starts
            hashed = ((_FNV_OFFSET if starts else hashed) ^ np.uint64(index)) * _FNV_PRIME
            held = what & _IS_COENG != 0
            letters += 1
            odd += what & _IS_ODD != 0
            at += 3
            hashes[BEFORE + num - 1] = hashed
            spans[BEFORE + num - 1, 1] = at
            index = khmer_index(data, at, end)
        if num == 0 or not is_joiner(data, at, end):
            break
        for _ in range(3):
            hashed = (hashed ^ np.uint64(data[at])) * _FNV_PRIME
            at += 1
        held = False
        hashes[BEFORE + num - 1] = hashed
        spans[BEFORE + num - 1, 1] = at
    return at, num, letters, odd


@inner
def is_joiner(data, at, end):
    """Tell whether a ZWNJ or ZWJ starts at `at`."""
    first = at + 2 < end and data[at] == 0xE2
    return first and data[at + 1] == 0x80 and data[at + 2] & 0xFE == 0x8C


@inner
def _end_of_words(data, at, stop, end):
    """Return the last byte up to `stop` where no word of ASCII goes on: what is not ASCII may be a part of it."""
    while at < stop < end:
        byte, following = data[stop - 1], data[stop]
        if byte == _APOSTROPHE:
            joins = following >= 0x80 or _FACTS[following] & 1
            if not (joins and at < stop - 1 and _FACTS[data[stop - 2]]):
                break
        elif _FACTS[byte] == 0:
            break
        stop -= 1
    return stop


@inner
def _read_words(data, at, stop, hashes, spans):
    """Read the words of a stretch of ASCII; write the hash of each, where it starts and ends, and its facts.

    Facts are the sums of `_FACTS`, and bits: 1 for five consonants in a row, 2 for a capital after a small letter.

    Returns:
        How many words they are.
    """
    # Masks of all ones or none in place of conditions: compiled, those are branches.
    num, start, inside, small = 0, at, 0, 0
    hashed, facts, bits, consonants = _FNV_OFFSET, 0, 0, 0
    for position in range(at, stop):
        byte = np.int64(data[position])
        own = _FACTS[byte]
        letter, capital, vowel = own & 1, (own >> _CAPITAL) & 1, (own >> _VOWEL) & 1
        going_on = -inside
        inside = np.int64(own != 0)
        if byte == _APOSTROPHE and going_on and position + 1 < stop:
            inside = _FACTS[data[position + 1]] & 1
        starts = inside & ~going_on
        num += starts
        start += (position - start) & -starts
        facts = own + (facts & going_on)
        kept = np.uint64(going_on)
        hashed = (hashed & kept) | (_FNV_OFFSET & ~kept)
        hashed = (hashed ^ np.uint64(byte | (capital << 5))) * _FNV_PRIME
        consonants = ((consonants & going_on) + letter) & (vowel - 1)
        small &= going_on
        bits = (bits & going_on) | np.int64(consonants >= 5) | ((capital & small) << 1)
        small = (letter & ~capital) | (small & ~letter)
        slot = np.uint64((BEFORE + num - 1) & -inside)
        hashes[slot] = hashed
        spans[slot, 0], spans[slot, 1] = start, position + 1
        spans[slot, 2], spans[slot, 3] = facts, bits
    return num


@inner
def _count_words(data, num, spans, kinds, counts):
    """Count words that `_read_words` found."""
    total, latin, strange, blurred = 0, 0, 0, 0
    for unit in range(BEFORE, BEFORE + num):
        start, stop, facts, bits = spans[unit]
        letters = facts & 0xFFFF
        if stop - start > _MAX_WORD_BYTES or (letters and (facts >> _DIGIT or bits & 2)):
            letters, is_strange, is_blurred = read_word(data, start, stop, kinds)
            strange += is_strange
            blurred += is_blurred
        else:
            capitals, vowels = (facts >> _CAPITAL) & 0xFFFF, (facts >> _VOWEL) & 0xFFFF
            lacking = lacks_vowels(letters, capitals, vowels, 5 * (bits & 1))
            strange += lacking
            blurred += lacking
        total += letters
        latin += letters > 0
    counts[WORDS] += num
    counts[LATIN] += total
    counts[LATIN_WORDS] += latin
    counts[STRANGE] += strange
    counts[BLURRED] += blurred


@inner
def _count_any(data, at, stop, kind, kinds, counts):
    """Count a unit that `next_unit` found."""
    if kind == WORD:
        letters, strange, blurred = read_word(data, at, stop, kinds)
        counts[WORDS] += 1
        counts[LATIN_WORDS] += letters > 0
        counts[STRANGE] += strange
        counts[BLURRED] += blurred
    else:
        counts[CLUSTERS] += 1
    while at < stop:
        code_point, length = decode(data, at)
        at += length
        kind = kind_of(code_point, kinds)
        if kind in (ch.KHMER_BASE, ch.KHMER_MARK):
            counts[KHMER] += 1
            counts[ODD] += _BLOCK[code_point - cp.KHMER_FIRST] & _IS_ODD != 0
        elif kind == ch.LATIN:
            counts[LATIN] += 1
            counts[ACCENTED] += length > 1
        elif kind in (ch.LETTER, ch.IDEOGRAPH):
            counts[OTHER] += 1


# --- words of lists -------------------------------------------------------------------------------


@inner
def unit_hash(data, start, end):
    """Return the 64-bit hash of `data[start:end]`, upper-case ASCII read as lower-case, a Khmer character as one byte.

    Source: FNV-1a (Fowler, Noll, Vo), http://www.isthe.com/chongo/tech/comp/fnv/
    """
    value, at = _FNV_OFFSET, start
    while at < end:
        index = khmer_index(data, at, end)
        if index >= 0:
            value = (value ^ np.uint64(index)) * _FNV_PRIME
            at += 3
            continue
        byte = data[at]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        value = (value ^ np.uint64(byte)) * _FNV_PRIME
        at += 1
    return value


@inner
def join_hashes(first, second):
    """Return the hash of two runs of units, one after the other."""
    mixed = (first * _MIX) ^ (second + (first >> np.uint64(29)))
    return mixed if mixed != 0 else np.uint64(1)


@inner
def _count_listed(data, place, hashes, unit, run, lengths, keys, lists, counts):
    """Look up the runs of units that end with one and are as long as a word that ends so.

    `place` is where the text, the run, the unit and the text begin, begin, end and end.
    """
    first, run_start, stop, end = place
    for num_units in range(1, min(run, MAX_UNITS) + 1):
        if not (lengths >> (num_units - 1)) & 1:
            continue
        key = np.uint64(0)
        for other in range(unit - num_units + 1, unit + 1):
            key = join_hashes(key, hashes[other])
        slot = np.int64(key & np.uint64(NUM_SLOTS - 1))
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & (NUM_SLOTS - 1)
        if keys[slot] == 0:
            continue
        found = lists[slot]
        if found & WHOLE:
            opened = run_start == first or _is_gap_before(data, run_start)
            if not (num_units == run and opened and (stop == end or _is_gap(data, stop))):
                continue
        found, index = np.int64(found & ~WHOLE), 0
        while found:
            counts[index] += np.int32(found & 1)
            found >>= 1
            index += 1


@inner
def _is_gap(data, at):
    """Tell whether white space or a khan starts at `at`: what ends a word, not what abbreviates."""
    if data[at] <= 0x20:
        return True
    code_point, _ = decode(data, at)
    return code_point == cp.NO_BREAK_SPACE or cp.KHAN <= code_point <= cp.CAMNUC_PII_KUUH


@inner
def _is_gap_before(data, at):
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return _is_gap(data, at)
