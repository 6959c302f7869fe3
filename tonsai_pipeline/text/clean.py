"""Texts -> the same texts without characters that only machines see, and without deprecated letters.

Compiled. Texts that `scan` found `UNCLEAN` are rewritten, the others copied.
"""

from __future__ import annotations

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import automaton as fsm
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import scan
from tonsai_pipeline.text.clusters import kind_of
from tonsai_pipeline.text.repair import STRIP_JOINERS
from tonsai_pipeline.text.scan import (
    ascii_run,
    class_of,
    khmer_index,
    last_index,
    symbol_of_foreign,
)
from tonsai_pipeline.text.utf8 import copy_bytes, decode, encode

#: What is counted, in characters.
CLEANED = ("zwsp_stripped", "ignorable", "space", "deprecated", "joiner")
_ZWSP, _IGNORABLE, _SPACE, _DEPRECATED, _JOINER = range(len(CLEANED))

_NUM_CLEANED = len(CLEANED)
_COENG_INDEX = cp.COENG - cp.KHMER_FIRST
_ELSE, _KHMER, _UNSPACED, _SPACED = range(4)


@kernel
def clean(data, offsets, needs, spans, tables, switches, out, found):
    """Fold deprecated letters and spaces and strip what is invisible, in texts that are `UNCLEAN`.

    A zero-width space stays only between two letters of another script that writes no spaces, such
    as Thai, and is a space between two words of Latin letters and the like. Marks of direction and the word joiner
    go between two characters of Khmer. A joiner outside a syllable goes where it is beside Khmer; emoji and Persian keep it.

    `needs` and `spans` are what `scan` found; `tables` are `characters.character_kinds()`, and symbols, steps and
    combining classes as for `scan`; the new texts are written to `out`, uint8, their spans to `found`, int64 (any, 2).

    Returns:
        offsets of the new batch; needs and number of spans as a scan would find them, but that
        `UNCOMPOSED` is only a suspicion, and `UNCLEAN` asks for a scan; the counts, int32, shape
        (num_texts, len(CLEANED)).
    """
    num_texts = len(offsets) - 1
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    new_needs = needs.copy()
    counts = np.zeros((num_texts, _NUM_CLEANED), dtype=np.int32)
    num_found, span, to = np.int64(0), 0, np.int64(0)
    for text in range(num_texts):
        start, end = offsets[text], offsets[text + 1]
        if needs[text] & scan.UNCLEAN:
            num_before = num_found
            to, need, num_found = _clean_text(
                data, start, end, out, to, tables, switches, counts[text], found, num_found
            )
            new_needs[text] = need | scan.UNORDERED * (num_found > num_before)
        else:
            shift = to - start
            while span < len(spans) and spans[span, 0] < end:
                found[num_found, 0], found[num_found, 1] = spans[span] + shift
                num_found += 1
                span += 1
            to = copy_bytes(data, start, end, out, to)
        new_offsets[text + 1] = to
    return new_offsets, new_needs, num_found, counts


@inner
def _clean_text(data, at, end, out, to, tables, switches, counts, spans, num_spans):
    """Write one text, cleaned, at byte `to` of `out`.

    Returns:
        The byte after it; `UNCOMPOSED` if it has combining marks beside coeng, and `UNCLEAN` if a letter
        was folded and the spans are not to be trusted; the number of spans.
    """
    _, symbols, steps, _ = tables
    strip_zwsp = switches & scan.STRIP_ZWSP != 0
    state, start = scan.OUT, to
    before, known_until, after = _ELSE, at, _ELSE
    held, marks, stale = False, False, False
    while at < end:
        first, combining = at, scan.IS_COMBINING
        index = khmer_index(data, at, end)
        while index >= 0 and not symbols[index] & scan.IS_DEPRECATED:
            symbol = symbols[index]
            step = steps[state | (symbol & scan.SYMBOL_BITS)]
            if step & scan.ENDS_DIRT:
                spans[num_spans, 0], spans[num_spans, 1] = start, to
                num_spans += 1
            start = to if step & scan.STARTS else start
            state = np.int64(step & scan.STATE_BITS)
            combining &= symbol
            marks = marks or symbol & scan.IS_RARE != 0
            out[to], out[to + 1], out[to + 2] = data[at], data[at + 1], data[at + 2]
            at, to = at + 3, to + 3
            index = khmer_index(data, at, end)
        if at > first:
            held = last_index(data, at) == _COENG_INDEX
            before = before if combining else _KHMER
        if at == end:
            break
        if before == _KHMER and strip_zwsp and is_zwsp(data, at, end):
            counts[_ZWSP] += 1
            at += 3
            continue
        following, length, folded = scan.OUT, ascii_run(data, at, end), False
        code_point = 0
        if length > 0:
            held = False
            last = data[at + length - 1] | 0x20
            before = _SPACED if 0x61 <= last <= 0x7A else _ELSE
        else:
            code_point, length = decode(data, at)
            asks = is_invisible(code_point) and (before != _KHMER or scan.is_idle_mark(code_point))
            if asks and at >= known_until:
                known_until, after = _surroundings_after(data, at, end, tables)
            meant = state >= scan.AT_BASE and not held and _may_join(code_point, data, at, end)
            rule = _rule_for(code_point, before, after, meant, switches)
            before, marks = _after_foreign(code_point, before, marks, tables)
            folded = rule == _SPACE
            if rule >= 0:
                counts[rule] += 1
                before = _ELSE if folded else before
            if rule >= 0 and not folded:
                to = to if rule == _ZWSP else _write_fold(code_point, out, to)
                stale = stale or rule == _DEPRECATED
                state, held = _state_after(code_point, state, held, steps)
                at += length
                continue
            following = np.int64(steps[state | symbol_of_foreign(code_point)] & scan.STATE_BITS)
            held = False
        if state >= scan.DIRTY and following < scan.DIRTY:
            spans[num_spans, 0], spans[num_spans, 1] = start, to
            num_spans += 1
        state = following
        if folded:
            to = _write_fold(code_point, out, to)
        else:
            to = copy_bytes(data, at, at + length, out, to)
        at += length
    if state >= scan.DIRTY:
        spans[num_spans, 0], spans[num_spans, 1] = start, to
        num_spans += 1
    need = scan.UNCOMPOSED * marks | scan.UNCLEAN * stale
    return to, need, num_spans


@inner
def is_zwsp(data, at, end):
    """Tell whether a zero-width space starts at `at`."""
    return at + 2 < end and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0x8B


@inner
def is_invisible(code_point):
    """Tell whether `clean` decides about a character by what is beside it."""
    if code_point in (cp.ZWSP, cp.ZWNJ, cp.ZWJ):
        return True
    return code_point in (cp.BOM, cp.SOFT_HYPHEN) or scan.is_idle_mark(code_point)


@inner
def _may_join(code_point, data, at, end):
    """Tell whether a joiner in a syllable may have a meaning: a ZWJ only before a coeng.

    There it makes a final coeng, as in Middle Khmer. About a ZWNJ `repair` decides.
    """
    after = at + 3
    coeng = after < end and khmer_index(data, after, end) == _COENG_INDEX
    return code_point == cp.ZWNJ or (code_point == cp.ZWJ and coeng)


@inner
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


@inner
def _write_fold(code_point, out, to):
    """Write what a character is folded to, if anything; return the byte after it."""
    if code_point in (cp.NO_BREAK_SPACE, cp.ZWSP):
        return encode(np.int64(0x20), out, to)
    if code_point in (cp.LINE_SEPARATOR, cp.PARAGRAPH_SEPARATOR):
        return encode(np.int64(0x0A), out, to)
    if code_point == cp.INDEPENDENT_QAQ:
        return encode(cp.LETTER_QA, out, to)
    if code_point == cp.INDEPENDENT_QAA:
        return encode(cp.VOWEL_AA, out, encode(cp.LETTER_QA, out, to))
    if code_point == cp.BEYYAL:
        to = encode(cp.LETTER_LO, out, encode(cp.KHAN, out, to))
        return encode(cp.KHAN, out, to)
    return to


@inner
def _state_after(code_point, state, held, steps):
    """Return the state, and whether a coeng is open, after what a character was folded to."""
    if code_point in (cp.INDEPENDENT_QAQ, cp.INDEPENDENT_QAA):
        state = np.int64(steps[state | fsm.BASE] & scan.STATE_BITS)
        if code_point == cp.INDEPENDENT_QAA:
            state = np.int64(steps[state | fsm.VOWEL] & scan.STATE_BITS)
        return state, False
    return (scan.OUT, False) if code_point == cp.BEYYAL else (state, held)


@inner
def _after_foreign(code_point, before, marks, tables):
    """Return what then stands before the next character, and whether a mark was seen."""
    kinds, _, _, combining = tables
    if is_invisible(code_point):
        return before, marks
    marks = marks or class_of(code_point, combining) != 0
    if _is_mark(code_point, kinds, combining):
        return before, marks
    return _surrounding(code_point, kinds), marks


@inner
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


@inner
def _is_mark(code_point, kinds, combining):
    """Tell whether a character hangs on another one: NFC may move it, and no script begins there."""
    return class_of(code_point, combining) != 0 or kind_of(code_point, kinds) == ch.MARK


@inner
def _surroundings_after(data, at, end, tables):
    """Return the byte and the kind of the next character that is visible and no mark."""
    kinds, _, _, combining = tables
    while at < end:
        code_point, length = decode(data, at)
        if not _is_mark(code_point, kinds, combining) and not is_invisible(code_point):
            return at, _surrounding(code_point, kinds)
        at += length
    return end, _ELSE
