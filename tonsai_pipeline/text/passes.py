"""A batch of UTF-8 texts -> what each needs, the texts cleaned and repaired, and what was counted.

Four compiled passes over whole buffers, each linear in the bytes: `inspect` reads everything once
and flags the texts that need work; `clean` and `repair` rewrite the flagged texts and copy the
rest; `measure` counts syllables and broken ones, for the report only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tonsai_pipeline.text import automaton as fsm
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import composition, repair
from tonsai_pipeline.text.clusters import kind_of
from tonsai_pipeline.text.repair import repair_syllable, slot_of
from tonsai_pipeline.text.utf8 import copy_bytes, decode, encode, sequence_length

# --- switches, beside those of `repair` ---------------------------------------------------------

STRIP_ZWSP = 8
STRIP_IGNORABLES = 16
FOLD_SPACES = 32
FOLD_DEPRECATED = 64
_CLEANING = STRIP_ZWSP | STRIP_IGNORABLES | FOLD_SPACES | FOLD_DEPRECATED | repair.STRIP_JOINERS

# --- what a text needs ---------------------------------------------------------------------------

MALFORMED = 1
UNCLEAN = 2
UNCOMPOSED = 4
UNORDERED = 8

# --- what `clean` counts -------------------------------------------------------------------------

CLEANED = ("zwsp_stripped", "ignorable", "space", "deprecated", "joiner")
_ZWSP, _IGNORABLE, _SPACE, _DEPRECATED, _JOINER = range(len(CLEANED))

#: Beside the symbol (4 bits) in the table that `inspect` reads: a character that `clean` may fold,
#: and one whose combining class is not zero.
SYMBOL_BITS = 0x0F
IS_DEPRECATED = 0x80
IS_COMBINING = 0x40

_MAX_SYLLABLE = repair.MAX_SYLLABLE
_DUPLICATE_MARK = repair.DUPLICATE_MARK
_COLLAPSE_DUPLICATES = repair.COLLAPSE_DUPLICATES
_STRIP_JOINERS = repair.STRIP_JOINERS
_NUM_RULES = len(repair.RULES)
_COENG_CLASS, _ATTHACAN_CLASS = 9, 230
_MAYBE_COMPOSED = composition.MAYBE_COMPOSED
_DOTTED_CIRCLE = 0x25CC
_ELSE, _KHMER, _UNSPACED = range(3)


def packed_symbols() -> np.ndarray:
    """Return symbol, `IS_DEPRECATED` and `IS_COMBINING` for each Khmer code point, shape (128,)."""
    table = fsm.symbol_table()
    deprecated = (cp.INDEPENDENT_QAQ, cp.INDEPENDENT_QAA, cp.INHERENT_AQ, cp.INHERENT_AA, cp.BEYYAL)
    table[[code_point - cp.KHMER_FIRST for code_point in deprecated]] |= IS_DEPRECATED
    table[[cp.COENG - cp.KHMER_FIRST, cp.ATTHACAN - cp.KHMER_FIRST]] |= IS_COMBINING
    return table


# --- inspect -------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def inspect(data, offsets, symbols, transitions, combining, switches):
    """Flag what each text needs.

    Args:
        symbols: `packed_symbols()`.
        transitions: `automaton.transition_table`.
        combining: `composition.combining_classes()`.
        switches: bits of `NormalizeOptions`.

    Returns:
        needs (num_texts,): bits `MALFORMED | UNCLEAN | UNCOMPOSED | UNORDERED`; place (num_texts,):
        the byte (from the start of the text) of the first malformed sequence, or else by how many
        bytes folding can lengthen the text.
    """
    num_texts = len(offsets) - 1
    needs = np.zeros(num_texts, dtype=np.uint8)
    place = np.zeros(num_texts, dtype=np.int64)
    for text in range(num_texts):
        at, end = offsets[text], offsets[text + 1]
        state, previous, need = fsm.OUT, np.uint16(0), 0
        while at < end:
            first = data[at]
            if first < 0x80:
                state, previous = fsm.OUT, np.uint16(0)
                at += 1
                continue
            if first == 0xE1 and at + 2 < end and data[at + 1] & 0xFE == 0x9E:
                third = data[at + 2]
                if third & 0xC0 == 0x80:
                    index = (np.int64(data[at + 1] & 1) << 6) | np.int64(third & 0x3F)
                    symbol = symbols[index]
                    state = np.int64(transitions[(state << 4) | np.int64(symbol & SYMBOL_BITS)])
                    if state >= fsm.DIRTY:
                        need |= UNORDERED
                    if symbol & IS_COMBINING:
                        own = np.uint16(_COENG_CLASS if index == 0x52 else _ATTHACAN_CLASS)
                        if previous > own:
                            need |= UNCOMPOSED
                        previous = own
                    else:
                        previous = np.uint16(0)
                        if symbol & IS_DEPRECATED and switches & FOLD_DEPRECATED:
                            need |= UNCLEAN
                            place[text] += 6
                    at += 3
                    continue
            length = sequence_length(data, at, end)
            if length == 0:
                need, place[text] = MALFORMED, at - offsets[text]
                break
            code_point, _ = decode(data, at)
            state, unclean = _read_foreign(code_point, state, transitions, switches)
            own = combining[code_point] if code_point < len(combining) else np.uint16(0)
            if unclean:
                need |= UNCLEAN
            if state >= fsm.DIRTY:
                need |= UNORDERED
            if own != 0 and (own >= _MAYBE_COMPOSED or previous > own):
                need |= UNCOMPOSED
            previous = own
            at += length
        needs[text] = need
    return needs, place


@njit(cache=True, nogil=True)
def _read_foreign(code_point, state, transitions, switches):
    """Return the next state, and whether `clean` has work, for a code point outside the block."""
    if code_point == cp.ZWNJ or code_point == cp.ZWJ:
        symbol = fsm.ZWNJ if code_point == cp.ZWNJ else fsm.ZWJ
        following = np.int64(transitions[(state << 4) | symbol])
        return following, switches & _STRIP_JOINERS != 0
    if code_point == cp.ZWSP:
        return fsm.OUT, switches & STRIP_ZWSP != 0
    if code_point == cp.BOM or code_point == cp.SOFT_HYPHEN:
        return fsm.OUT, switches & STRIP_IGNORABLES != 0
    spacing = code_point == cp.LINE_SEPARATOR or code_point == cp.PARAGRAPH_SEPARATOR
    if spacing or code_point == cp.NO_BREAK_SPACE:
        return fsm.OUT, switches & FOLD_SPACES != 0
    return fsm.OUT, False


# --- clean ---------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def clean(data, offsets, needs, kinds, combining, switches, capacity):
    """Fold deprecated letters and spaces and strip what is invisible, in texts that are `UNCLEAN`.

    A zero-width space stays only between two letters of another script that writes no spaces, such
    as Thai. A joiner outside a syllable goes where it is beside Khmer; emoji and Persian keep it.

    Returns:
        data and offsets of the new batch, and the counts, int32, shape (num_texts, len(CLEANED)).
    """
    num_texts = len(offsets) - 1
    out = np.empty(capacity, dtype=np.uint8)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    counts = np.zeros((num_texts, len(CLEANED)), dtype=np.int32)
    to = 0
    for text in range(num_texts):
        if needs[text] & UNCLEAN:
            start, end = offsets[text], offsets[text + 1]
            row = counts[text]
            to = _clean_text(data, start, end, out, to, kinds, combining, switches, row)
        else:
            to = copy_bytes(data, offsets[text], offsets[text + 1], out, to)
        new_offsets[text + 1] = to
    return out[:to], new_offsets, counts


@njit(cache=True, nogil=True)
def _clean_text(data, start, end, out, to, kinds, combining, switches, counts):
    """Write one text, cleaned, at byte `to` of `out`; return the byte after it."""
    at, known_until, before, after = start, start, _ELSE, _ELSE
    in_syllable, opened, held = False, False, False
    while at < end:
        if data[at] < 0x80:
            before = _ELSE
            in_syllable = opened = held = False
            out[to] = data[at]
            at, to = at + 1, to + 1
            continue
        code_point, length = decode(data, at)
        if is_invisible(code_point):
            if at >= known_until:
                known_until, after = _surroundings_after(data, at, end, kinds, combining)
            meant = in_syllable and not held
            if meant and code_point == cp.ZWJ:
                meant = _opens_final_coeng(data, at + length, end)
            rule = _rule_for_invisible(code_point, before, after, meant, switches)
            if rule >= 0:
                counts[rule] += 1
                at += length
                continue
            opened, held = code_point == cp.ZWJ, False
            in_syllable = in_syllable and (opened or code_point == cp.ZWNJ)
        else:
            folded_to = _fold_character(code_point, out, to, switches)
            if folded_to >= 0:
                counts[_rule_for_fold(code_point)] += 1
            if folded_to != to:
                # Marks do not count: NFC may move them. A letter counts as what it becomes.
                if not _is_mark(code_point, kinds, combining):
                    before = _surrounding(code_point, kinds)
                letter = cp.INDEPENDENT_QAQ <= code_point <= cp.INDEPENDENT_QAA and folded_to > 0
                slot = 1 if letter else slot_of(code_point)
                in_syllable = (slot == 1 and not opened) or (in_syllable and slot != 0)
                opened = held = slot == 3
            if folded_to >= 0:
                at, to = at + length, folded_to
                continue
        to = copy_bytes(data, at, at + length, out, to)
        at += length
    return to


@njit(cache=True, nogil=True)
def is_invisible(code_point):
    """Tell whether `clean` decides about a character by what is beside it."""
    if code_point == cp.ZWSP or code_point == cp.ZWNJ or code_point == cp.ZWJ:
        return True
    return code_point == cp.BOM or code_point == cp.SOFT_HYPHEN


@njit(cache=True, nogil=True)
def _rule_for_invisible(code_point, before, after, meant, switches):
    """Return the rule that strips an invisible character here, -1 to keep it.

    A joiner is `meant` inside a syllable, if it does not follow a coeng; there `repair` decides.
    """
    khmer = before == _KHMER or after == _KHMER
    if code_point == cp.ZWSP:
        parts_words = before == _UNSPACED and after == _UNSPACED
        return -1 if parts_words or not switches & STRIP_ZWSP else _ZWSP
    if code_point == cp.ZWNJ or code_point == cp.ZWJ:
        return _JOINER if switches & _STRIP_JOINERS and khmer and not meant else -1
    return _IGNORABLE if switches & STRIP_IGNORABLES else -1


@njit(cache=True, nogil=True)
def _opens_final_coeng(data, at, end):
    """Tell whether a ZWJ before byte `at` makes a final coeng, as in Middle Khmer."""
    if at >= end or data[at] < 0x80:
        return False
    code_point, _ = decode(data, at)
    return code_point == cp.COENG


@njit(cache=True, nogil=True)
def _fold_character(code_point, out, to, switches):
    """Write what a character is folded to; return the byte after it, -1 if it stays as it is."""
    if switches & FOLD_SPACES:
        if code_point == cp.NO_BREAK_SPACE:
            return encode(0x20, out, to)
        if code_point == cp.LINE_SEPARATOR or code_point == cp.PARAGRAPH_SEPARATOR:
            return encode(0x0A, out, to)
    if switches & FOLD_DEPRECATED:
        if code_point == cp.INHERENT_AQ or code_point == cp.INHERENT_AA:
            return to
        if code_point == cp.INDEPENDENT_QAQ:
            return encode(cp.LETTER_QA, out, to)
        if code_point == cp.INDEPENDENT_QAA:
            return encode(cp.VOWEL_AA, out, encode(cp.LETTER_QA, out, to))
        if code_point == cp.BEYYAL:
            to = encode(cp.LETTER_LO, out, encode(cp.KHAN, out, to))
            return encode(cp.KHAN, out, to)
    return -1


@njit(cache=True, nogil=True)
def _rule_for_fold(code_point):
    return _DEPRECATED if cp.KHMER_FIRST <= code_point <= cp.KHMER_LAST else _SPACE


@njit(cache=True, nogil=True)
def _surrounding(code_point, kinds):
    """Return what kind of neighbour a visible character is."""
    if cp.KHMER_FIRST <= code_point <= cp.KHMER_LAST:
        return _KHMER
    if cp.LUNAR_FIRST <= code_point <= cp.LUNAR_LAST:
        return _KHMER
    return _UNSPACED if kind_of(code_point, kinds) == ch.IDEOGRAPH else _ELSE


@njit(cache=True, nogil=True)
def _is_mark(code_point, kinds, combining):
    """Tell whether a character hangs on another one: NFC may move it, and no script begins there."""
    if code_point < len(combining) and combining[code_point] != 0:
        return True
    return kind_of(code_point, kinds) == ch.MARK


@njit(cache=True, nogil=True)
def _surroundings_after(data, at, end, kinds, combining):
    """Return the byte and the kind of the next character that is visible and no mark."""
    while at < end:
        code_point, length = decode(data, at)
        if not _is_mark(code_point, kinds, combining) and not is_invisible(code_point):
            return at, _surrounding(code_point, kinds)
        at += length
    return end, _ELSE


# --- repair --------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def repair_texts(data, offsets, needs, symbols, transitions, combining, switches):
    """Rewrite the syllables that are out of order, in texts that are `UNORDERED`.

    Returns:
        data and offsets of the new batch (never longer), and the counts, int32, shape
        (num_texts, len(repair.RULES) + 1); the last column counts syllables left as typed.
    """
    num_texts = len(offsets) - 1
    out = np.empty(offsets[num_texts] - offsets[0], dtype=np.uint8)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    counts = np.zeros((num_texts, _NUM_RULES + 1), dtype=np.int32)
    syllable = np.empty(_MAX_SYLLABLE, dtype=np.int32)
    keys = np.empty(_MAX_SYLLABLE, dtype=np.int32)
    before = np.empty(_MAX_SYLLABLE, dtype=np.int32)
    to = 0
    for text in range(num_texts):
        copied, end = offsets[text], offsets[text + 1]
        at, start, state = copied, copied, fsm.OUT
        while needs[text] & UNORDERED and at <= end:
            following, length = fsm.OUT, 1
            if at < end:
                following, length = next_state(data, at, state, symbols, transitions)
            if state >= fsm.DIRTY and following < fsm.DIRTY:
                size, fired = read_syllable(data, start, at, syllable, switches)
                if size > 0:
                    size, changed = repair_syllable(syllable, size, keys, before, switches)
                    fired |= changed
                if size == 0 or (fired and not _fits(syllable, size, data, at, end, combining)):
                    counts[text, _NUM_RULES] += 1
                elif fired:
                    to = copy_bytes(data, copied, start, out, to)
                    for position in range(size):
                        to = encode(syllable[position], out, to)
                    copied = at
                    for rule in range(_NUM_RULES):
                        counts[text, rule] += (fired >> rule) & 1
            if following == fsm.AT_BASE:
                start = at
            state = following
            at += length
        to = copy_bytes(data, copied, end, out, to)
        new_offsets[text + 1] = to
    return out[:to], new_offsets, counts


@njit(cache=True, nogil=True)
def next_state(data, at, state, symbols, transitions):
    """Return the state after the character at `at`, and its length in bytes."""
    first = data[at]
    if first < 0x80:
        return fsm.OUT, 1
    if first == 0xE1 and data[at + 1] & 0xFE == 0x9E:
        index = (np.int64(data[at + 1] & 1) << 6) | np.int64(data[at + 2] & 0x3F)
        symbol = np.int64(symbols[index] & SYMBOL_BITS)
        return np.int64(transitions[(state << 4) | symbol]), 3
    code_point, length = decode(data, at)
    if code_point == cp.ZWNJ:
        return np.int64(transitions[(state << 4) | fsm.ZWNJ]), length
    if code_point == cp.ZWJ:
        return np.int64(transitions[(state << 4) | fsm.ZWJ]), length
    return fsm.OUT, length


@njit(cache=True, nogil=True)
def read_syllable(data, start, end, syllable, switches):
    """Read a syllable's code points; return how many, 0 if too many, and `DUPLICATE_MARK` or 0.

    A mark typed many times in a row is read once, so that lengthened words still fit.
    """
    size, fired = 0, 0
    while start < end:
        code_point, length = decode(data, start)
        start += length
        if switches & _COLLAPSE_DUPLICATES and repair.repeats(code_point, syllable, size):
            fired = _DUPLICATE_MARK
            continue
        if size == _MAX_SYLLABLE:
            return 0, 0
        syllable[size] = code_point
        size += 1
    return size, fired


@njit(cache=True, nogil=True)
def _fits(syllable, size, data, at, end, combining):
    """Tell whether a repaired syllable leaves what follows it alone.

    A coeng or ZWJ at its end would draw in the next base; a mark of a high combining class would
    change places with the next mark under NFC.
    """
    if at >= end:
        return True
    last = syllable[size - 1]
    code_point, _ = decode(data, at)
    if (last == cp.COENG or last == cp.ZWJ) and slot_of(code_point) == 1:
        return False
    if (last != cp.COENG and last != cp.ATTHACAN) or code_point >= len(combining):
        return True
    following = combining[code_point] & 0xFF
    return following == 0 or following >= (_COENG_CLASS if last == cp.COENG else _ATTHACAN_CLASS)


# --- measure -------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def measure(data, offsets, symbols, transitions):
    """Count syllables, marks without a base and broken syllables of valid UTF-8.

    Returns:
        int32, shape (num_texts, 3): num_clusters, num_orphan_marks, num_invalid_clusters. A
        cluster is invalid where it is no Modern Khmer syllable (UTN #61 p. 16).
    """
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, 3), dtype=np.int32)
    syllable = np.empty(_MAX_SYLLABLE, dtype=np.int32)
    for text in range(num_texts):
        at, end = offsets[text], offsets[text + 1]
        start, state = at, fsm.OUT
        while at <= end:
            following, length = fsm.OUT, 1
            if at < end:
                following, length = next_state(data, at, state, symbols, transitions)
                if state <= fsm.OUT_OPEN and following <= fsm.OUT_OPEN and length == 3:
                    code_point, _ = decode(data, at)
                    counts[text, 1] += slot_of(code_point) > 1 and code_point < cp.ZWSP
                    if code_point == _DOTTED_CIRCLE:
                        following = fsm.AT_BASE
                        counts[text, 0] -= 1
            closing = following <= fsm.AT_BASE and state > fsm.AT_BASE
            unfinished = state == fsm.AT_COENG or state == fsm.AT_SECOND_COENG
            if closing and (unfinished or state >= fsm.DIRTY):
                size, _ = read_syllable(data, start, at, syllable, 0)
                counts[text, 2] += unfinished or not is_modern_syllable(syllable, size)
            if following == fsm.AT_BASE:
                counts[text, 0] += 1
                start = at
            state = following
            at += length
    return counts


@njit(cache=True, nogil=True)
def count_zwsp(data, offsets):
    """Count the zero-width spaces of each text; int32, shape (num_texts,)."""
    counts = np.zeros(len(offsets) - 1, dtype=np.int32)
    for text in range(len(counts)):
        for at in range(offsets[text], offsets[text + 1] - 2):
            found = data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0x8B
            counts[text] += found
    return counts


@njit(cache=True, nogil=True)
def is_modern_syllable(syllable, size):
    """Tell whether code points form one Modern Khmer syllable. Source: UTN #61 v2, p. 16."""
    at = repair.end_of_consonants(syllable, size)
    num_coengs = 0
    for position in range(1, at):
        num_coengs += syllable[position] == cp.COENG
        ro_first = num_coengs == 1 and syllable[position] == cp.LETTER_RO
        if ro_first and position + 1 < at:
            return False
    if size == 0 or num_coengs > 2:
        return False
    if at < size and slot_of(syllable[at]) == 4:
        at += 1
        if at < size and syllable[at] == cp.ZWNJ:
            if not repair.zwnj_is_meant(syllable, at, size):
                return False
            at += 1
    if at < size and cp.VOWEL_AA <= syllable[at] <= cp.VOWEL_AU:
        at += 1
    for _ in range(2):
        if at < size and slot_of(syllable[at]) == 10:
            above = syllable[at] == cp.SAMYOK_SANNYA or syllable[at] == cp.ATTHACAN
            if above and syllable[at - 1] == cp.VOWEL_U:
                return False
            at += 1
    if at < size and slot_of(syllable[at]) == 11:
        at += 1
    return at == size
