"""UTF-8 -> hashes of windows of units, in one numba kernel: what `shingles.py` and `minhash.py` are made of.

    bytes ──decode──▶ values of code points ──cut──▶ where units begin ──windows──▶ 64-bit hashes

Three short loops over blocks that stay in the first-level cache, each without a branch that depends on the text in a
way a processor cannot guess: where a cluster or word ends is looked up in a table, not decided.

A text is hashed as a polynomial in its code points, units marked where they begin, so that the hash of any window is
the difference of two prefixes: a window costs the same however long it is.

Source:
    Karp and Rabin 1987 for hashes of windows; the finalizer of MurmurHash3 (Appleby, public domain) for mixing.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from tonsai_pipeline.compiled import inner

#: Bumped when the same text would give other window hashes; part of every scheme id.
UNITS_VERSION = 2

#: Longest window, in units.
MAX_UNITS = 63

# What a code point does to the unit that is being read. A separator is 0: it adds nothing to a hash.
_SEPARATOR, _WORD, _BASE, _MARK, _COENG, _LETTER, _IGNORED = range(7)
_NUM_CLASSES = 8

_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd
_BEGIN = 0xC2B2AE3D27D4EB4F  # added to the first code point of a unit; odd, from xxHash's primes

#: Powers that are kept; a window of more code points has a word of hundreds of letters in it.
_NUM_POWERS = 512
#: Code points of a block. Ours: its three arrays take 24 KB of a first-level cache of 32.
_BLOCK = 1024

# uint64 throughout: numba doc_indices uint64 and int64 into a float, and checks signed indices for wraparound.
_0, _1, _2, _3 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_CLASS_MASK, _LOW_32, _32 = np.uint64(7), np.uint64(0xFFFFFFFF), np.uint64(32)


class Cutter(NamedTuple):
    """Tables that say how a text is cut; arrays of uint64.

    Args:
        values: By code point below U+10000: a hash, its class in the low 3 bits; 0 for separators.
        steps: Shape (64, 4), by 8 * class before + class: units that begin (0 or 1); what the meter goes on by; what is
            added to the value; what the hash so far is multiplied by. The meter counts code points in its low
            half and the weight of units in its high half.
        powers: Powers of the multiplier.
        target: Weight of a window, in the high half.
    """

    values: np.ndarray
    steps: np.ndarray
    powers: np.ndarray
    target: np.uint64


class Scratch(NamedTuple):
    """Room for a block; arrays of uint64, shape (1024 + 64 + 2,).

    Args:
        values: Values of the code points.
        prefixes: Hash of the text before each unit.
        meters: Meter before each unit.
    """

    values: np.ndarray
    prefixes: np.ndarray
    meters: np.ndarray


@cache
def make_cutter(clusters: int, words: int) -> Cutter:
    """Return the tables for windows worth `clusters` clusters or `words` words.

    A cluster weighs `words` and a word weighs `clusters`, so a window weighs `clusters * words`.
    """
    classes = unit_classes()
    values = mix64_array(np.arange(1, len(classes) + 1, dtype=np.uint64))
    values = np.where(classes == _SEPARATOR, _0, (values & ~_CLASS_MASK) | classes)
    steps = np.zeros((_NUM_CLASSES * _NUM_CLASSES, 4), dtype=np.uint64)
    steps[:, 3] = 1
    for before in range(_NUM_CLASSES):
        for here in (_WORD, _BASE, _MARK, _COENG, _LETTER):
            begins = not _continues(before, here)
            weight = (clusters if here == _WORD else words) if begins else 0
            added = _BEGIN if begins else 0
            steps[_NUM_CLASSES * before + here] = (begins, 1 | weight << 32, added, _MULTIPLIER)
    powers = np.array([pow(_MULTIPLIER, n, 1 << 64) for n in range(_NUM_POWERS)], dtype=np.uint64)
    return Cutter(values, steps, powers, np.uint64(clusters * words << 32))


def mix64_array(values: np.ndarray) -> np.ndarray:
    """Scramble each of many 64-bit values; a bijection that looks random. uint64, any shape."""
    return mix64.py_func(values.copy())


@cache
def unit_classes() -> np.ndarray:
    """Return what each code point below U+10000 does, uint8, shape (65536,).

    Written as ranges and not read from `unicodedata`, whose answers change with the Python version: a
    signature made today must be the one made after an upgrade.
    """
    classes = np.full(1 << 16, _WORD, dtype=np.uint8)
    for first, last, kind in _RANGES:
        classes[first : last + 1] = kind
    return classes


def _continues(before: int, here: int) -> bool:
    """Say whether a code point goes on with the unit of the one before it, by their classes."""
    if before == _WORD:
        return here == _WORD
    if before in (_BASE, _MARK, _COENG):
        return here in (_MARK, _COENG) or (here == _BASE and before == _COENG)
    return False


# Later ranges win.
_RANGES = (
    (0x0000, 0x002F, _SEPARATOR),  # controls, space, ASCII punctuation
    (0x003A, 0x0040, _SEPARATOR),
    (0x005B, 0x0060, _SEPARATOR),
    (0x007B, 0x00A9, _SEPARATOR),
    (0x00AB, 0x00B1, _SEPARATOR),  # U+00AA, U+00B2, B3, B5, B9, BA are letters or digits
    (0x00AD, 0x00AD, _IGNORED),  # soft hyphen: an invitation to break, not a break
    (0x00B4, 0x00B4, _SEPARATOR),
    (0x00B6, 0x00B8, _SEPARATOR),
    (0x00BB, 0x00BF, _SEPARATOR),
    (0x00D7, 0x00D7, _SEPARATOR),
    (0x00F7, 0x00F7, _SEPARATOR),
    (0x0E00, 0x0EFF, _LETTER),  # Thai, Lao
    (0x0E50, 0x0E59, _WORD),  # Thai digits
    (0x0ED0, 0x0ED9, _WORD),  # Lao digits
    (0x1000, 0x109F, _LETTER),  # Burmese
    (0x1680, 0x1680, _SEPARATOR),
    (0x1780, 0x17B3, _BASE),
    (0x17B4, 0x17D1, _MARK),
    (0x17D2, 0x17D2, _COENG),
    (0x17D3, 0x17D3, _MARK),
    (0x17D4, 0x17DC, _SEPARATOR),  # khan, bariyoosan, lek too, riel ...
    (0x17DD, 0x17DD, _MARK),
    (0x17DE, 0x17DF, _SEPARATOR),
    (0x17EA, 0x17FF, _SEPARATOR),
    (0x180E, 0x180E, _SEPARATOR),
    (0x2000, 0x206F, _SEPARATOR),
    # Zero-width space, joiners, direction marks: invisible, so no difference.
    (0x200B, 0x200F, _IGNORED),
    (0x202A, 0x202E, _IGNORED),
    (0x2060, 0x2064, _IGNORED),
    (0x20A0, 0x20CF, _SEPARATOR),  # currency
    (0x2190, 0x2BFF, _SEPARATOR),  # arrows, mathematics, boxes, dingbats
    (0x2E00, 0x2E7F, _SEPARATOR),
    (0x2E80, 0x2FDF, _LETTER),
    (0x3000, 0x303F, _SEPARATOR),
    (0x3040, 0x312F, _LETTER),  # kana, bopomofo
    (0x31A0, 0x31FF, _LETTER),
    (0x3400, 0x9FFF, _LETTER),
    (0xA980, 0xA9DF, _LETTER),  # Javanese
    (0xAA60, 0xAA7F, _LETTER),
    (0xF900, 0xFAFF, _LETTER),
    (0xFE00, 0xFE0F, _IGNORED),  # variation selectors
    (0xFE10, 0xFE6F, _SEPARATOR),
    (0xFEFF, 0xFEFF, _IGNORED),
    (0xFF00, 0xFF0F, _SEPARATOR),
    (0xFF1A, 0xFF20, _SEPARATOR),
    (0xFF3B, 0xFF40, _SEPARATOR),
    (0xFF5B, 0xFF65, _SEPARATOR),
    (0xFFE0, 0xFFFF, _SEPARATOR),
)


@inner
def mix64(value):
    """Scramble 64 bits (the finalizer of MurmurHash3, a bijection)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@inner
def make_scratch():
    """Return room for one block; made once by whoever cuts many texts."""
    size = _BLOCK + MAX_UNITS + 3
    return Scratch(
        np.empty(size, dtype=np.uint64),
        np.empty(size, dtype=np.uint64),
        np.empty(size, dtype=np.uint64),
    )


@inner
def cut(data, start, stop, cutter, scratch, out):
    """Write the hashes of the windows of `data[start:stop]` to `out`; return how many.

    A text that is not worth one window is one: all its units.
    """
    pos = np.uint64(start)
    prefix, meter, before = _0, _0, _0
    num_units = (
        _0  # in the scratch: those that a later window begins with, and the one that is open
    )
    end = _1  # unit before which the next window may end
    num_out = 0
    while pos < np.uint64(stop):
        pos, num_values = _decode_block(data, pos, np.uint64(stop), cutter.values, scratch.values)
        num_units, prefix, meter, before = _cut_block(
            scratch, num_values, cutter.steps, num_units, prefix, meter, before
        )
        is_last = pos >= np.uint64(stop)
        # The last unit may go on in the next block.
        num_closed = num_units if is_last else max(num_units, _1) - _1
        found, first = _write_windows(scratch, end, num_closed, cutter, out[num_out:])
        num_out += found
        if is_last and num_out == 0 and num_units > _0:
            out[0] = mix64(prefix + np.uint64(MAX_UNITS + 1) + num_units)
            return 1
        # What is left moves to the front.
        for i in range(num_units - first):
            scratch.prefixes[i] = scratch.prefixes[np.uint64(i) + first]
            scratch.meters[i] = scratch.meters[np.uint64(i) + first]
        num_units -= first
        end = max(num_closed, end - _1) + _1 - first
    return num_out


@inner
def _decode_block(data, pos, stop, table, values):
    """Decode up to a block of code points from `pos`; return where to go on, and how many values."""
    num_values = _0
    while pos < stop and num_values < np.uint64(_BLOCK):
        lead = np.uint64(data[pos])
        if lead < np.uint64(0x80):
            value = table[lead]
            pos += _1
        elif lead & np.uint64(0xF0) == np.uint64(0xE0) and pos + _3 <= stop:
            middle = np.uint64(data[pos + _1]) & np.uint64(0x3F)
            last = np.uint64(data[pos + _2]) & np.uint64(0x3F)
            code = (lead & np.uint64(0x0F)) << np.uint64(12) | middle << np.uint64(6) | last
            value = table[code]
            pos += _3
        else:
            code, width = _decode_rare(data, pos, stop)
            value = table[code] if code < np.uint64(len(table)) else _value_of_rare(code)
            pos += width
        values[num_values] = value
        # An ignored code point is overwritten by the next.
        num_values += np.uint64((value & _CLASS_MASK) != np.uint64(_IGNORED))
    return pos, num_values


@inner
def _decode_rare(data, pos, stop):
    """Return the code point of two or four bytes at `pos`, or of what is left of a broken one, and its width."""
    lead = np.uint64(data[pos])
    if lead < np.uint64(0xE0):
        width, code = _2, lead & np.uint64(0x1F)
    elif lead < np.uint64(0xF0):
        width, code = _3, lead & np.uint64(0x0F)
    else:
        width, code = np.uint64(4), lead & np.uint64(0x07)
    width = min(width, stop - pos)
    for i in range(1, width):
        code = code << np.uint64(6) | (np.uint64(data[pos + np.uint64(i)]) & np.uint64(0x3F))
    return code, width


@inner
def _value_of_rare(code):
    """Return the value of a code point above U+FFFF: rare Chinese characters are letters, the rest words."""
    is_letter = np.uint64(0x20000) <= code < np.uint64(0x40000)
    kind = np.uint64(_LETTER) if is_letter else np.uint64(_WORD)
    return (mix64(code + _1) & ~_CLASS_MASK) | kind


@inner
def _cut_block(scratch, num_values, steps, num_units, prefix, meter, before):
    """Note the hash and the meter before each unit that begins in a block, and after the last one."""
    values, prefixes, meters = scratch.values, scratch.prefixes, scratch.meters
    for i in range(num_values):
        value = values[i]
        here = value & _CLASS_MASK
        step = before << _3 | here
        # Overwritten until a unit begins here.
        prefixes[num_units] = prefix
        meters[num_units] = meter
        num_units += steps[step, 0]
        meter += steps[step, 1]
        prefix = prefix * steps[step, 3] + (value + steps[step, 2])
        before = here
    prefixes[num_units] = prefix
    meters[num_units] = meter
    return num_units, prefix, meter, before


@inner
def _write_windows(scratch, end, last_end, cutter, out):
    """Write every window that ends before unit `end` to `last_end`; return how many, and the first unit left."""
    prefixes, meters, powers = scratch.prefixes, scratch.meters, cutter.powers
    first = _0
    while end <= last_end:
        prefix, meter = prefixes[end], meters[end]
        while meter - meters[first] >= cutter.target:
            num_points = (meter - meters[first]) & _LOW_32
            power = (
                powers[num_points] if num_points < np.uint64(_NUM_POWERS) else _power(num_points)
            )
            out[first] = mix64(prefix - prefixes[first] * power + (end - first))
            first += _1
        end += _1
    return np.int64(first), first


@inner
def _power(exponent):
    """Return the multiplier to any power, mod 2^64."""
    result, square = _1, np.uint64(_MULTIPLIER)
    while exponent > _0:
        if exponent & _1:
            result *= square
        square *= square
        exponent >>= _1
    return result
