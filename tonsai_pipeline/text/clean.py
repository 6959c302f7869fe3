"""Texts -> the same texts without characters that only machines see, and without deprecated letters.

Compiled. Texts that `scan` found `UNCLEAN` are rewritten, the others copied.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tonsai_pipeline.text import automaton as fsm
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import scan
from tonsai_pipeline.text.clusters import kind_of
from tonsai_pipeline.text.repair import STRIP_JOINERS
from tonsai_pipeline.text.scan import (
    add_span,
    ascii_run,
    class_of,
    khmer_index,
    next_state,
    symbol_of_foreign,
)
from tonsai_pipeline.text.utf8 import copy_bytes, decode, encode

#: What is counted, in characters.
CLEANED = ("zwsp_stripped", "ignorable", "space", "deprecated", "joiner")
_ZWSP, _IGNORABLE, _SPACE, _DEPRECATED, _JOINER = range(len(CLEANED))

_NUM_CLEANED = len(CLEANED)
_COENG_INDEX = cp.COENG - cp.KHMER_FIRST
_ELSE, _KHMER, _UNSPACED, _SPACED = range(4)


@njit(cache=True, nogil=True)
def clean(data, offsets, needs, spans, kinds, symbols, transitions, combining, switches, capacity):
    """Fold deprecated letters and spaces and strip what is invisible, in texts that are `UNCLEAN`.

    A zero-width space stays only between two letters of another script that writes no spaces, such
    as Thai, and is a space between two words of Latin letters and the like. Marks of direction and the word joiner
    go between two characters of Khmer. A joiner outside a syllable goes where it is beside Khmer; emoji and Persian keep it.

    `needs` and `spans` are what `scan` found, `kinds` is `characters.character_kinds()`, `capacity`
    the bytes that the result may take; the rest is as for `scan`.

    Returns:
        data and offsets of the new batch; needs and spans as a scan would find them, but that
        `UNCOMPOSED` is only a suspicion, and `UNCLEAN` asks for a scan; the counts, int32, shape
        (num_texts, len(CLEANED)).
    """
    num_texts = len(offsets) - 1
    out = np.empty(capacity, dtype=np.uint8)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    new_needs = needs.copy()
    counts = np.zeros((num_texts, _NUM_CLEANED), dtype=np.int32)
    found, num_found, span, to = np.empty((len(spans) + 1, 2), dtype=np.int64), 0, 0, 0
    tables = (kinds, symbols, transitions, combining)
    for text in range(num_texts):
        start, end = offsets[text], offsets[text + 1]
        unclean = needs[text] & scan.UNCLEAN != 0
        while span < len(spans) and spans[span, 0] < end:
            if not unclean:
                shift = to - start
                first, last = spans[span, 0] + shift, spans[span, 1] + shift
                found, num_found = add_span(found, num_found, first, last)
            span += 1
        if unclean:
            num_before = num_found
            to, need, found, num_found = _clean_text(
                data, start, end, out, to, tables, switches, counts[text], found, num_found
            )
            new_needs[text] = need | scan.UNORDERED * (num_found > num_before)
        else:
            to = copy_bytes(data, start, end, out, to)
        new_offsets[text + 1] = to
    return out[:to], new_offsets, new_needs, found[:num_found], counts


@njit(cache=True, nogil=True)
def _clean_text(data, at, end, out, to, tables, switches, counts, spans, num_spans):
    """Write one text, cleaned, at byte `to` of `out`.

    Returns:
        The byte after it; `UNCOMPOSED` if it has combining marks beside coeng, and `UNCLEAN` if a letter
        was folded and the spans are not to be trusted; the spans and their number.
    """
    _, symbols, transitions, _ = tables
    copied, state, start = at, fsm.OUT, to
    before, known_until, after = _ELSE, at, _ELSE
    held, marks, stale = False, False, False
    while at < end:
        # `to - copied + at` is where the character at `at` will stand, once what is pending is copied.
        index = khmer_index(data, at, end)
        while index >= 0 and not symbols[index] & scan.IS_DEPRECATED:
            following = next_state(transitions, state, symbols[index] & scan.SYMBOL_BITS)
            if state >= fsm.DIRTY and following < fsm.DIRTY:
                spans, num_spans = add_span(spans, num_spans, start, to - copied + at)
            start = to - copied + at if following == fsm.AT_BASE else start
            combines = symbols[index] & scan.IS_COMBINING != 0
            held, before = index == _COENG_INDEX, before if combines else _KHMER
            marks = marks or (combines and not held)
            state = following
            at += 3
            index = khmer_index(data, at, end)
        if at == end:
            break
        here, following, length = to - copied + at, fsm.OUT, ascii_run(data, at, end)
        if length > 0:
            held = False
            last = data[at + length - 1] | 0x20
            before = _SPACED if 0x61 <= last <= 0x7A else _ELSE
        else:
            code_point, length = decode(data, at)
            asks = is_invisible(code_point) and (before != _KHMER or scan.is_idle_mark(code_point))
            if asks and at >= known_until:
                known_until, after = _surroundings_after(data, at, end, tables)
            meant = state >= fsm.AT_BASE and not held and _may_join(code_point, data, at, end)
            rule = _rule_for(code_point, before, after, meant, switches)
            before, marks = _after_foreign(code_point, before, marks, tables)
            if rule >= 0:
                counts[rule] += 1
                to = copy_bytes(data, copied, at, out, to)
                if rule != _ZWSP:
                    to = _write_fold(code_point, out, to)
                copied = at + length
                before = _ELSE if rule == _SPACE else before
            if rule >= 0 and rule != _SPACE:
                stale = stale or rule == _DEPRECATED
                state, held = _state_after(code_point, state, held, transitions)
                at += length
                continue
            following = next_state(transitions, state, symbol_of_foreign(code_point))
            held = False
        if state >= fsm.DIRTY and following < fsm.DIRTY:
            spans, num_spans = add_span(spans, num_spans, start, here)
        state = following
        at += length
    to = copy_bytes(data, copied, end, out, to)
    if state >= fsm.DIRTY:
        spans, num_spans = add_span(spans, num_spans, start, to)
    need = scan.UNCOMPOSED * marks | scan.UNCLEAN * stale
    return to, need, spans, num_spans


@njit(cache=True, nogil=True)
def is_invisible(code_point):
    """Tell whether `clean` decides about a character by what is beside it."""
    if code_point in (cp.ZWSP, cp.ZWNJ, cp.ZWJ):
        return True
    return code_point in (cp.BOM, cp.SOFT_HYPHEN) or scan.is_idle_mark(code_point)


@njit(cache=True, nogil=True)
def _may_join(code_point, data, at, end):
    """Tell whether a joiner in a syllable may have a meaning: a ZWJ only before a coeng.

    There it makes a final coeng, as in Middle Khmer. About a ZWNJ `repair` decides.
    """
    after = at + 3
    coeng = after < end and khmer_index(data, after, end) == _COENG_INDEX
    return code_point == cp.ZWNJ or (code_point == cp.ZWJ and coeng)


@njit(cache=True, nogil=True)
def _rule_for(code_point, before, after, meant, switches):
    """Return the rule that strips or folds a character here, -1 to keep it."""
    if code_point == cp.ZWSP:
        parts_words = before == _UNSPACED and after == _UNSPACED
        if parts_words or not switches & scan.STRIP_ZWSP:
            return -1
        return _SPACE if before == _SPACED and after == _SPACED else _ZWSP
    if scan.is_idle_mark(code_point):
        between = before == _KHMER and after == _KHMER
        return _IGNORABLE if between and switches & scan.STRIP_IGNORABLES else -1
    if code_point in (cp.ZWNJ, cp.ZWJ):
        stray = not meant and (_KHMER in (before, after))
        return _JOINER if stray and switches & STRIP_JOINERS else -1
    if code_point in (cp.BOM, cp.SOFT_HYPHEN):
        return _IGNORABLE if switches & scan.STRIP_IGNORABLES else -1
    if cp.KHMER_FIRST <= code_point <= cp.KHMER_LAST:
        return _DEPRECATED if switches & scan.FOLD_DEPRECATED else -1
    if code_point in (cp.NO_BREAK_SPACE, cp.LINE_SEPARATOR, cp.PARAGRAPH_SEPARATOR):
        return _SPACE if switches & scan.FOLD_SPACES else -1
    return -1


@njit(cache=True, nogil=True)
def _write_fold(code_point, out, to):
    """Write what a character is folded to, if anything; return the byte after it."""
    if code_point in (cp.NO_BREAK_SPACE, cp.ZWSP):
        return encode(0x20, out, to)
    if code_point in (cp.LINE_SEPARATOR, cp.PARAGRAPH_SEPARATOR):
        return encode(0x0A, out, to)
    if code_point == cp.INDEPENDENT_QAQ:
        return encode(cp.LETTER_QA, out, to)
    if code_point == cp.INDEPENDENT_QAA:
        return encode(cp.VOWEL_AA, out, encode(cp.LETTER_QA, out, to))
    if code_point == cp.BEYYAL:
        to = encode(cp.LETTER_LO, out, encode(cp.KHAN, out, to))
        return encode(cp.KHAN, out, to)
    return to


@njit(cache=True, nogil=True)
def _state_after(code_point, state, held, transitions):
    """Return the state, and whether a coeng is open, after what a character was folded to."""
    if code_point in (cp.INDEPENDENT_QAQ, cp.INDEPENDENT_QAA):
        state = next_state(transitions, state, fsm.BASE)
        if code_point == cp.INDEPENDENT_QAA:
            state = next_state(transitions, state, fsm.VOWEL)
        return state, False
    return (fsm.OUT, False) if code_point == cp.BEYYAL else (state, held)


@njit(cache=True, nogil=True)
def _after_foreign(code_point, before, marks, tables):
    """Return what then stands before the next character, and whether a mark was seen."""
    kinds, _, _, combining = tables
    if is_invisible(code_point):
        return before, marks
    marks = marks or class_of(code_point, combining) != 0
    if _is_mark(code_point, kinds, combining):
        return before, marks
    return _surrounding(code_point, kinds), marks


@njit(cache=True, nogil=True)
def _surrounding(code_point, kinds):
    """Return what kind of neighbour a visible character is."""
    if cp.KHMER_FIRST <= code_point <= cp.KHMER_LAST:
        return _KHMER
    if cp.LUNAR_FIRST <= code_point <= cp.LUNAR_LAST:
        return _KHMER
    kind = kind_of(code_point, kinds)
    if kind == ch.IDEOGRAPH:
        return _UNSPACED
    return _SPACED if kind in (ch.LATIN, ch.LETTER) else _ELSE


@njit(cache=True, nogil=True)
def _is_mark(code_point, kinds, combining):
    """Tell whether a character hangs on another one: NFC may move it, and no script begins there."""
    return class_of(code_point, combining) != 0 or kind_of(code_point, kinds) == ch.MARK


@njit(cache=True, nogil=True)
def _surroundings_after(data, at, end, tables):
    """Return the byte and the kind of the next character that is visible and no mark."""
    kinds, _, _, combining = tables
    while at < end:
        code_point, length = decode(data, at)
        if not _is_mark(code_point, kinds, combining) and not is_invisible(code_point):
            return at, _surrounding(code_point, kinds)
        at += length
    return end, _ELSE
