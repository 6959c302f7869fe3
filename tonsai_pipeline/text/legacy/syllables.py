"""Codes of a legacy font -> Khmer in the order of Unicode, one syllable at a time.

    e R k a   ──longest match──▶ 17C1 left, 17D2 179A left, 1780, 17B6      symbols, as they are drawn
              ──close gaps, join strokes──▶ 17C4 left, 17D2 179A left, 1780
              ──write──▶ 1780 17D2 179A 17C4                                what is drawn left of a base is written behind it

Compiled; time linear in the text. A symbol is a code point and what it does in a syllable. Each pass goes over all symbols of a
text: a function that is called for each syllable costs three times as much, for counting the references to its arrays. What is
left out of order is the normalizer's work, as in any text.
"""

from __future__ import annotations

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.utf8 import decode, encode

#: Columns of the counts.
NUM_CODES, NUM_UNKNOWN, NUM_GAPS, NUM_REREAD = range(4)
#: Code of a character that none of the code pages has.
NO_CODE = -1

#: What a symbol does, in the bits above its code point. Of a table: a letter, a vowel drawn left of its letter, the coeng RO that
#: is drawn there, the coeng of the letter that follows in the entry, a mark, anything else. Of a text: a space or line end, and
#: the comma of another font, whose low bits tell how many symbols it is to this one.
BASE, LEFT, LEFT_RO, SUBSCRIPT, MARK, OTHER, GAP, LINE_END, COMMA = range(9)
KIND_SHIFT = 24
_CHAR = (1 << KIND_SHIFT) - 1
_LEFT_E = LEFT << KIND_SHIFT | cp.VOWEL_E

_LETTER_NYO, _LETTER_TO, _LETTER_PO, _LETTER_LA = 0x1789, 0x1791, 0x1796, 0x17A1
_LAST_BASE = 0x17B3
_VOWEL_YA, _VOWEL_IE, _YUUKALEAPINTU = 0x17BF, 0x17C0, 0x17C8
_COMMA, _SPACE, _HARD_SPACE, _LINE_FEED = 0x2C, 0x20, 0xA0, 0x0A
_WALK = -2


def symbols_of(text: str) -> list[int]:
    """Return the symbols of what an entry of a table writes."""
    if text == chr(cp.COENG) + chr(cp.LETTER_RO):
        return [_symbol(LEFT_RO, cp.LETTER_RO)]
    last = len(text) - 1
    return [_symbol(_kind(ord(char), i == last), ord(char)) for i, char in enumerate(text)]


def _kind(char: int, is_last: bool) -> int:
    if char == cp.COENG:
        return OTHER if is_last else SUBSCRIPT
    if cp.VOWEL_E <= char <= cp.VOWEL_AI:
        return LEFT
    if cp.VOWEL_AA <= char <= cp.VIRIAM or char == cp.ATTHACAN:
        return MARK
    return BASE if cp.KHMER_FIRST <= char <= _LAST_BASE else OTHER


def _symbol(kind: int, char: int) -> int:
    return kind << KIND_SHIFT | char


# --- compiled -------------------------------------------------------------------------------------


@kernel
def convert_codes(data, offsets, code_of, children, entry_of, starts, symbols, growth):
    """Convert every text of a batch with one table.

    Args:
        data: uint8, valid UTF-8, with `offsets` as in `Utf8Batch`.
        offsets: int64.
        code_of: int16, shape (65536,): the code that a character stands for, or `NO_CODE`.
        children: As `entry_of`, `starts` and `symbols`, of a `FontTable`.
        entry_of: See `children`.
        starts: See `children`.
        symbols: See `children`.
        growth: Bytes that a code becomes at most; memory that is not written is never taken.

    Returns:
        data and offsets of the texts in Khmer, not yet normalized, and counts, int32, shape (num_texts, 4): codes that draw
        something, codes that the table lacks, gaps closed inside a syllable, and strokes read together as another letter.
    """
    num_texts = len(offsets) - 1
    singles = _single_entries(children, entry_of)
    out = np.empty(growth * (offsets[num_texts] - offsets[0]) + 8, dtype=np.uint8)
    # The comma of another font is a symbol more.
    drawn = np.empty((_widest(starts) + 1) * _widest(offsets), dtype=np.int32)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    counts = np.zeros((num_texts, 4), dtype=np.int32)
    to = 0
    for text in range(num_texts):
        at, end, own = offsets[text], offsets[text + 1], counts[text]
        num = _read_codes(
            data, at, end, code_of, singles, children, entry_of, starts, symbols, drawn, own
        )
        num = _close_gaps(drawn, num, own)
        num = _join_strokes(drawn, num, own)
        to = _write_syllables(drawn, num, out, to)
        new_offsets[text + 1] = to
    return out[:to], new_offsets, counts


@inner
def _single_entries(children, entry_of):
    """Return the entry of each code that begins no longer one; `_WALK` where the trie must be walked, -1 for none."""
    singles = np.full(children.shape[1], -1, dtype=np.int16)
    for code in range(len(singles)):
        node = children[0, code]
        if node >= 0:
            singles[code] = _WALK if _goes_on(children[node]) else entry_of[node]
    return singles


# numpy's `diff` and `max` say the same as these two, and take seven seconds of compiling.


@inner
def _widest(borders):
    """Return the largest distance between neighbours, which ascend."""
    widest = np.int64(0)
    for i in range(len(borders) - 1):
        widest = max(widest, np.int64(borders[i + 1] - borders[i]))
    return widest


@inner
def _goes_on(children):
    """Return whether a node has a child."""
    for child in children:  # noqa: SIM110 (numba compiles no generator)
        if child >= 0:
            return True
    return False


# --- codes -> symbols -----------------------------------------------------------------------------


@inner
def _read_codes(
    data, at, end, code_of, singles, children, entry_of, starts, symbols, drawn, counts
):
    """Write the symbols that `data[at:end]` draws; count codes; return how many symbols they are."""
    num, num_codes, num_unknown = 0, 0, 0
    while at < end:
        code_point, length = decode(data, at)
        code = code_of[code_point] if code_point < len(code_of) else NO_CODE
        entry, stop = singles[code] if code >= 0 else NO_CODE, at + length
        if entry == _WALK:
            entry, stop = _walk(data, at, end, code_of, children, entry_of)
        if entry < 0:
            stop = at + length
            drawn[num] = _symbol_of_text(code, code_point)
            num += 1
            is_unknown = code > _SPACE and code != _HARD_SPACE
            num_codes += is_unknown
            num_unknown += is_unknown
        else:
            num_codes += 1
            first, last = starts[entry], starts[entry + 1]
            if code == _COMMA and _ends_word(data, stop, end):
                drawn[num] = COMMA << KIND_SHIFT | (last - first)
                num += 1
            for symbol in range(first, last):
                drawn[num] = symbols[symbol]
                num += 1
        at = stop
    counts[NUM_CODES], counts[NUM_UNKNOWN] = num_codes, num_unknown
    return num


@inner
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


@inner
def _symbol_of_text(code, code_point):
    """Return the symbol of a character that the table lacks."""
    if code == _LINE_FEED:
        return LINE_END << KIND_SHIFT | code_point
    kind = GAP if code in (_SPACE, _HARD_SPACE) else OTHER
    return kind << KIND_SHIFT | code_point


@inner
def _ends_word(data, at, end):
    return at >= end or data[at] <= _SPACE or 0x30 <= data[at] <= 0x39


# --- symbols -> syllables -------------------------------------------------------------------------


@inner
def _close_gaps(drawn, num, counts):
    """Drop gaps inside syllables; make all that is then in no syllable `OTHER`; return how many symbols are left."""
    to, at = 0, 0
    # Whether marks may hang on a letter, and whether something that is drawn left of the next one waits for it.
    is_open, is_waiting = False, False
    while at < num:
        symbol = drawn[at]
        kind, char = symbol >> KIND_SHIFT, symbol & _CHAR
        at += 1
        if kind == MARK and is_open:
            pass
        elif kind == BASE:
            is_open, is_waiting = True, False
        elif kind == SUBSCRIPT and is_open:
            drawn[to] = symbol
            to += 1
            symbol = SUBSCRIPT << KIND_SHIFT | (drawn[at] & _CHAR)
            at += 1
        elif kind == LEFT_RO:
            is_waiting = True
        elif kind == LEFT:
            is_open, is_waiting = False, True
        elif kind in (GAP, LINE_END) and is_open and at < num and _hangs(drawn[at]):
            counts[NUM_GAPS] += 1  # kerning, or a line that ends inside a syllable
            continue
        elif (kind == LINE_END and is_waiting) or (kind == COMMA and is_open):
            continue
        else:
            if kind == COMMA:
                at += char
                char = _COMMA
            elif kind == MARK and char == _YUUKALEAPINTU:
                char = cp.CAMNUC_PII_KUUH  # the dots are drawn alike
            symbol = OTHER << KIND_SHIFT | char
            is_open, is_waiting = False, False
        drawn[to] = symbol
        to += 1
    return to


@inner
def _hangs(symbol):
    """Tell whether a symbol cannot begin a syllable."""
    return symbol >> KIND_SHIFT in (MARK, SUBSCRIPT)


@inner
def _join_strokes(drawn, num, counts):
    """Put together the halves of vowels, and letters that were typed as others; return how many symbols are left."""
    to, at = 0, 0
    # The open letter and where it is; where the vowel left of it is, or that of the next one (-1: none), whether that has got
    # its right half; whether nothing hangs on the letter yet, and whether AA was drawn last.
    base, base_at, left_at, next_left = 0, 0, -1, -1
    is_whole, is_bare, after_aa = False, False, False
    while at < num:
        symbol = drawn[at]
        kind, char = symbol >> KIND_SHIFT, symbol & _CHAR
        at += 1
        if kind == MARK:
            whole = _whole_vowel(char) if left_at >= 0 and drawn[left_at] == _LEFT_E else 0
            after_aa = char == cp.VOWEL_AA
            if whole:
                drawn[left_at] = LEFT << KIND_SHIFT | whole
                is_whole = True
                continue
            is_bare = False
        elif kind == BASE:
            base, base_at, left_at, next_left = char, to, next_left, -1
            is_whole, is_bare, after_aa = False, True, False
        elif kind == SUBSCRIPT and char == cp.COENG:
            letter = drawn[at] & _CHAR
            if after_aa and base == _LETTER_PO:
                # PO and AA side by side are the upper half of NYO where a subscript stands below.
                base = _LETTER_NYO
                counts[NUM_REREAD] += 1
                if is_whole:
                    drawn[left_at], is_whole = _LEFT_E, False
                else:
                    to -= 1
            elif letter == cp.LETTER_BA and base == _LETTER_TO and is_bare:
                # TO above a subscript BA looks like LA, and is never a syllable of Khmer.
                base = _LETTER_LA
                counts[NUM_REREAD] += 1
                drawn[base_at] = BASE << KIND_SHIFT | base
                at += 1
                continue
            drawn[base_at] = BASE << KIND_SHIFT | base
            is_bare = after_aa = False
        elif kind == LEFT:
            base, next_left = 0, to
        elif kind == OTHER:
            base, next_left = 0, -1
        drawn[to] = symbol
        to += 1
    return to


@inner
def _whole_vowel(right):
    """Return the vowel that has E as its left half, 0 if there is none with this right half."""
    if right == cp.VOWEL_II:
        return cp.VOWEL_OE
    if right == cp.VOWEL_AA:
        return cp.VOWEL_OO
    if right in (cp.VOWEL_AU, _VOWEL_YA, _VOWEL_IE):
        return right
    return 0


@inner
def _write_syllables(drawn, num, out, to):
    """Write symbols as UTF-8, what is drawn left of a letter behind its subscripts; return where that ends."""
    # What waits for its place behind the open letter, and for the next letter.
    vowel, ro, next_vowel, next_ro = 0, False, 0, False
    # Whether the open letter is NYO, whether a vowel stands above it, and where U is (-1: nowhere).
    is_nyo, is_above, u_at = False, False, -1
    for at in range(num):
        kind, char = drawn[at] >> KIND_SHIFT, drawn[at] & _CHAR
        if kind == LEFT_RO:
            next_ro = True
            continue
        if kind != SUBSCRIPT and (vowel or ro):
            to = _write_ro(ro, out, to)
            to = encode(vowel, out, to) if vowel else to
            vowel, ro = 0, False
        if kind == LEFT:
            to = encode(next_vowel, out, to) if next_vowel else to
            next_vowel = char
            continue
        if kind == BASE:
            vowel, ro = next_vowel, next_ro
        elif kind == OTHER:
            to = _write_ro(next_ro, out, encode(next_vowel, out, to) if next_vowel else to)
        if kind in (BASE, OTHER):
            next_vowel, next_ro = 0, False
            is_nyo, is_above, u_at = char == _LETTER_NYO, _stands_above(vowel), -1
        elif kind == MARK and is_nyo:
            is_above = is_above or char == cp.VOWEL_AA
            u_at = to if char == cp.VOWEL_U else u_at
            # The shifter of NYO is drawn below, as -u is.
            if u_at == to and is_above:
                char = cp.MUUSIKATOAN
            elif u_at >= 0 and is_above:
                encode(cp.MUUSIKATOAN, out, u_at)
        to = encode(char, out, to)
    to = _write_ro(ro, out, to)
    to = encode(vowel, out, to) if vowel else to
    return _write_ro(next_ro, out, encode(next_vowel, out, to) if next_vowel else to)


@inner
def _stands_above(vowel):
    return vowel in (cp.VOWEL_OO, cp.VOWEL_E, cp.VOWEL_AE)


@inner
def _write_ro(is_wanted, out, to):
    return encode(cp.LETTER_RO, out, encode(cp.COENG, out, to)) if is_wanted else to
