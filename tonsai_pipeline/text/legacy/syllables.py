"""Codes of a legacy font -> Khmer in the order of Unicode, one syllable at a time.

    e R k a   ──longest match──▶ 17C1 left, 17D2 179A left, 1780, 17B6
              ──put in order───▶ 1780 17D2 179A 17C4            what is drawn left of a base is written behind it

Compiled; one pass, and time linear in the text. A syllable is written as it is read, and corrected in place: all its characters
take three bytes. What is left out of order is the normalizer's work, as in any text.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.utf8 import decode, encode

#: Columns of the counts.
NUM_CODES, NUM_UNKNOWN, NUM_GAPS, NUM_REREAD = range(4)
#: Code of a character that none of the code pages has.
NO_CODE = -1

_LETTER_NYO, _LETTER_TO, _LETTER_PO, _LETTER_LA = 0x1789, 0x1791, 0x1796, 0x17A1
_LAST_BASE = 0x17B3
_VOWEL_YA, _VOWEL_IE, _YUUKALEAPINTU = 0x17BF, 0x17C0, 0x17C8
_COMMA, _SPACE, _HARD_SPACE, _LINE_FEED = 0x2C, 0x20, 0xA0, 0x0A
_WALK = -2


@njit(cache=True, nogil=True)
def convert_codes(data, offsets, code_of, children, entry_of, starts, chars, growth):
    """Convert every text of a batch with one table.

    Args:
        data: uint8, valid UTF-8, with `offsets` as in `Utf8Batch`.
        offsets: int64.
        code_of: int16, shape (65536,): the code that a character stands for, or `NO_CODE`.
        children: As `entry_of`, `starts` and `chars`, of a `FontTable`.
        entry_of: See `children`.
        starts: See `children`.
        chars: See `children`.
        growth: Bytes that a code becomes at most; memory that is not written is never taken.

    Returns:
        data and offsets of the texts in Khmer, not yet normalized, and counts, int32, shape (num_texts, 4): codes that draw
        something, codes that the table lacks, gaps closed inside a syllable, and strokes read together as another letter.
    """
    num_texts = len(offsets) - 1
    singles = _single_entries(children, entry_of)
    out = np.empty(growth * (offsets[num_texts] - offsets[0]) + 8, dtype=np.uint8)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    counts = np.zeros((num_texts, 4), dtype=np.int32)
    to = 0
    for text in range(num_texts):
        at, end = offsets[text], offsets[text + 1]
        to = _convert_text(
            data,
            at,
            end,
            code_of,
            singles,
            children,
            entry_of,
            starts,
            chars,
            out,
            to,
            counts[text],
        )
        new_offsets[text + 1] = to
    return out[:to], new_offsets, counts


@njit(cache=True, nogil=True)
def _convert_text(
    data, at, end, code_of, singles, children, entry_of, starts, chars, out, to, counts
):
    """Convert `data[at:end]` to `out[to:]`; return where that ends.

    One function: numba keeps these scalars in registers, and a state passed from helper to helper costs six times as much.
    """
    num_codes, num_unknown, num_gaps, num_reread = 0, 0, 0, 0
    # The open syllable: its base (0: none) and where it is, its vowel and where it is (-1: not yet written), whether it
    # was put together from two halves; where U and whether AA is in it; the coeng RO that it waits for.
    base, base_at, vowel, vowel_at, is_whole, u_at, has_aa = 0, 0, 0, -1, False, -1, False
    ro, last_is_aa = False, False
    # What was drawn left of the next base.
    next_vowel, next_ro = 0, False
    while at < end:
        code_point, length = decode(data, at)
        code = code_of[code_point] if code_point < len(code_of) else NO_CODE
        entry, stop = singles[code] if code >= 0 else NO_CODE, at + length
        if entry == _WALK:
            entry, stop = _walk(data, at, end, code_of, children, entry_of)
        is_text = entry < 0
        if is_text:
            stop = at + length
            is_gap = code in (_SPACE, _HARD_SPACE, _LINE_FEED)
            if (
                is_gap
                and base
                and _hangs(data, stop, end, code_of, children, entry_of, starts, chars)
            ):
                num_gaps += 1  # kerning, or a line that ends inside a syllable
                at = stop
                continue
            if code == _LINE_FEED and (next_vowel or next_ro):
                at = stop
                continue
            num_codes += code > _SPACE and not is_gap
            num_unknown += code > _SPACE and not is_gap
        else:
            num_codes += 1
            # The comma of another font: no letter before it, a gap or a digit behind it.
            is_text = code == _COMMA and base == 0 and _ends_word(data, stop, end)
        first, last = (0, 1) if is_text else (starts[entry], starts[entry + 1])
        is_coeng = not is_text and last - first == 2 and chars[first] == cp.COENG
        if is_coeng and chars[first + 1] == cp.LETTER_RO:
            next_ro = True
            at = stop
            continue
        at = stop
        while first < last:
            char = code_point if is_text else chars[first]
            first += 1
            is_mark = not is_text and (cp.VOWEL_AA <= char <= cp.VIRIAM or char == cp.ATTHACAN)
            if is_mark and base and not cp.VOWEL_E <= char <= cp.VOWEL_AI:
                whole = 0
                if vowel == cp.VOWEL_E and not is_whole:
                    whole = _whole_vowel(char)
                last_is_aa = char == cp.VOWEL_AA
                if whole:
                    vowel, is_whole = whole, True
                    if vowel_at >= 0:
                        encode(vowel, out, vowel_at)
                    continue
                if vowel_at < 0:
                    to = _write_ro(ro, out, to)
                    ro = False
                    vowel_at = to
                    to = encode(vowel, out, to) if vowel else to
                if char == cp.VOWEL_U:
                    u_at = to
                has_aa = has_aa or last_is_aa
                to = encode(char, out, to)
            elif char == cp.COENG and base and first < last:
                letter = chars[first]
                first += 1
                if last_is_aa and base == _LETTER_PO:
                    # PO and AA side by side are the upper half of NYO where a subscript stands below.
                    base = _LETTER_NYO
                    encode(base, out, base_at)
                    num_reread += 1
                    if is_whole:
                        vowel, is_whole = cp.VOWEL_E, False
                        if vowel_at >= 0:
                            encode(vowel, out, vowel_at)
                    else:
                        to -= 3
                        has_aa = False
                        vowel_at = -1 if vowel == 0 else vowel_at
                elif letter == cp.LETTER_BA and base == _LETTER_TO and to == base_at + 3:
                    # TO above a subscript BA looks like LA, and is never a syllable of Khmer.
                    base = _LETTER_LA
                    encode(base, out, base_at)
                    num_reread += 1
                    continue
                last_is_aa = False
                to = encode(letter, out, encode(cp.COENG, out, to))
            else:
                if base:
                    to = _close(base, vowel, vowel_at, ro, u_at, has_aa, out, to)
                    base = 0
                if is_mark and cp.VOWEL_E <= char <= cp.VOWEL_AI:
                    to = encode(next_vowel, out, to) if next_vowel else to
                    next_vowel = char
                    continue
                if not is_text and cp.KHMER_FIRST <= char <= _LAST_BASE:
                    base, base_at, vowel, ro = char, to, next_vowel, next_ro
                    vowel_at, is_whole, u_at, has_aa = -1, False, -1, False
                    last_is_aa = False
                else:
                    to = _write_ro(next_ro, out, encode(next_vowel, out, to) if next_vowel else to)
                    if char == _YUUKALEAPINTU and is_mark:
                        char = cp.CAMNUC_PII_KUUH  # the dots are drawn alike
                next_vowel, next_ro = 0, False
                to = encode(char, out, to)
    if base:
        to = _close(base, vowel, vowel_at, ro, u_at, has_aa, out, to)
    to = _write_ro(next_ro, out, encode(next_vowel, out, to) if next_vowel else to)
    counts[NUM_CODES], counts[NUM_UNKNOWN] = num_codes, num_unknown
    counts[NUM_GAPS], counts[NUM_REREAD] = num_gaps, num_reread
    return to


@njit(cache=True, nogil=True)
def _single_entries(children, entry_of):
    """Return the entry of each code that begins no longer one; `_WALK` where the trie must be walked, -1 for none."""
    singles = np.full(children.shape[1], -1, dtype=np.int16)
    for code in range(len(singles)):
        node = children[0, code]
        if node >= 0:
            singles[code] = entry_of[node] if children[node].max() < 0 else _WALK
    return singles


@njit(cache=True, nogil=True)
def _walk(data, at, end, code_of, children, entry_of):
    """Return the entry of the longest match at `at`, -1 if none, and where it ends."""
    node, found, stop = 0, -1, at
    while at < end:
        code_point, length = decode(data, at)
        code = code_of[code_point] if code_point < len(code_of) else NO_CODE
        node = children[node, code] if code >= 0 else -1
        if node < 0:
            break
        at += length
        if entry_of[node] >= 0:
            found, stop = np.int64(entry_of[node]), at
    return found, stop


@njit(cache=True, nogil=True)
def _hangs(data, at, end, code_of, children, entry_of, starts, chars):
    """Tell whether what stands at `at` cannot begin a syllable, and is not the comma of another font."""
    entry, stop = _walk(data, at, end, code_of, children, entry_of)
    if entry < 0 or (data[at] == _COMMA and _ends_word(data, stop, end)):
        return False
    char = chars[starts[entry]]
    if char == cp.COENG:
        return starts[entry + 1] - starts[entry] > 2 or chars[starts[entry] + 1] != cp.LETTER_RO
    is_left = cp.VOWEL_E <= char <= cp.VOWEL_AI
    return (cp.VOWEL_AA <= char <= cp.VIRIAM or char == cp.ATTHACAN) and not is_left


@njit(cache=True, nogil=True)
def _ends_word(data, at, end):
    return at >= end or data[at] <= _SPACE or 0x30 <= data[at] <= 0x39


@njit(cache=True, nogil=True)
def _whole_vowel(right):
    """Return the vowel that has E as its left half, 0 if there is none with this right half."""
    if right == cp.VOWEL_II:
        return cp.VOWEL_OE
    if right == cp.VOWEL_AA:
        return cp.VOWEL_OO
    if right in (cp.VOWEL_AU, _VOWEL_YA, _VOWEL_IE):
        return right
    return 0


@njit(cache=True, nogil=True)
def _write_ro(is_wanted, out, to):
    return encode(cp.LETTER_RO, out, encode(cp.COENG, out, to)) if is_wanted else to


@njit(cache=True, nogil=True)
def _close(base, vowel, vowel_at, ro, u_at, has_aa, out, to):
    """Write what a syllable still waits for: its coeng RO and its left vowel."""
    if u_at >= 0 and base == _LETTER_NYO:
        # The shifter of NYO is drawn below, as -u is.
        is_above = has_aa or vowel == cp.VOWEL_OO or vowel == cp.VOWEL_E or vowel == cp.VOWEL_AE
        if is_above:
            encode(cp.MUUSIKATOAN, out, u_at)
    if vowel_at >= 0:
        return to
    to = _write_ro(ro, out, to)
    return encode(vowel, out, to) if vowel else to
