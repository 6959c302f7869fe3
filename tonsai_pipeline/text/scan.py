"""A batch of UTF-8 texts -> what each text needs, and where the syllables are that are out of order.

One compiled pass that reads every byte once: it checks the encoding, runs the automaton over the
syllables and looks for what `clean` and Normalization Form C would change. In prose it finds work
in one syllable of a thousand; what follows touches only that.
"""

from __future__ import annotations

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import automaton as fsm
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import composition
from tonsai_pipeline.text.repair import STRIP_JOINERS
from tonsai_pipeline.text.utf8 import decode, sequence_length

# --- switches, beside those of `repair` -----------------------------------------------------------

STRIP_ZWSP = 8
STRIP_IGNORABLES = 16
FOLD_SPACES = 32
FOLD_DEPRECATED = 64
#: All that makes a text `UNCLEAN`.
CLEANS = STRIP_JOINERS | STRIP_ZWSP | STRIP_IGNORABLES | FOLD_SPACES | FOLD_DEPRECATED

# --- what a text needs ------------------------------------------------------------------------------

MALFORMED = 1
UNCLEAN = 2
UNCOMPOSED = 4
UNORDERED = 8

# --- the table of symbols: the automaton's (4 bits), and what else a character of the block is --------

SYMBOL_BITS = 0x0F
IS_RARE = 0x20  # ATTHACAN, or deprecated
IS_COMBINING = 0x40
IS_DEPRECATED = 0x80

# --- the table of steps: the next state (the high 4 bits), and what a step means -----------------------

STATE_BITS = 0xF0
ENDS_DIRT = 1  # a syllable to repair ends before this character
ENDS_BROKEN = 2  # a syllable ends that may be none of Modern Khmer
STARTS = 4  # a syllable starts
ORPHAN = 8  # a mark without a base

OUT, AT_BASE, DIRTY = fsm.OUT << 4, fsm.AT_BASE << 4, fsm.DIRTY << 4

_DEPRECATED = (
    cp.INDEPENDENT_QAQ,
    cp.INDEPENDENT_QAA,
    cp.INHERENT_AQ,
    cp.INHERENT_AA,
    cp.BEYYAL,
)
#: BEYYAL becomes three characters: no fold adds more bytes.
_MAX_BYTES_ADDED = 6
#: Of a syllable to repair, which has a base and a mark of three bytes each, joiners included.
_MIN_SPAN_BYTES = 6
_MAYBE_COMPOSED = composition.MAYBE_COMPOSED
_COENG_CLASS, _ATTHACAN_CLASS = 9, 230
_COENG_INDEX = cp.COENG - cp.KHMER_FIRST
_ATTHACAN_INDEX = cp.ATTHACAN - cp.KHMER_FIRST


def packed_symbols() -> np.ndarray:
    """Return symbol and flags (`IS_RARE | IS_COMBINING | IS_DEPRECATED`) of each Khmer code point, shape (128,)."""
    table = fsm.symbol_table()
    deprecated = [code_point - cp.KHMER_FIRST for code_point in _DEPRECATED]
    table[deprecated] |= IS_DEPRECATED | IS_RARE
    table[[_COENG_INDEX, _ATTHACAN_INDEX]] |= IS_COMBINING
    table[_ATTHACAN_INDEX] |= IS_RARE
    return table


def packed_steps(*, fold_coeng_da: bool) -> np.ndarray:
    """Return the next state and the meaning of each step, by state and symbol, shape (NUM_STATES * NUM_SYMBOLS,)."""
    table = fsm.transition_table(fold_coeng_da=fold_coeng_da).reshape(fsm.NUM_STATES, -1)
    state = np.arange(fsm.NUM_STATES)[:, None]
    symbol = np.arange(fsm.NUM_SYMBOLS)[None, :]
    dirty = state >= fsm.DIRTY
    open_coeng = (state == fsm.AT_COENG) | (state == fsm.AT_SECOND_COENG)
    is_mark = (symbol >= fsm.ROBAT) & (symbol != fsm.ZWNJ) & (symbol != fsm.ZWJ)
    steps = table << 4
    steps |= ENDS_DIRT * (dirty & (table < fsm.DIRTY)).astype(np.uint8)
    steps |= ENDS_BROKEN * ((dirty | open_coeng) & (table <= fsm.AT_BASE)).astype(np.uint8)
    steps |= STARTS * (table == fsm.AT_BASE).astype(np.uint8)
    steps |= ORPHAN * (is_mark & (np.maximum(state, table) <= fsm.OUT_OPEN)).astype(np.uint8)
    return steps.reshape(-1)


def room_for_spans(num_bytes: int) -> int:
    """Return how many syllables to repair so many bytes can hold.

    An array that grows inside a compiled loop costs it three quarters of its speed; pages of memory that are never
    written cost nothing.
    """
    return num_bytes // _MIN_SPAN_BYTES + 1


@kernel
def scan(data, offsets, symbols, steps, combining, switches, spans):
    """Find out what each text needs.

    `symbols` is `packed_symbols()`, `steps` is `packed_steps()`, `combining` is `composition.combining_classes()`,
    `switches` are the bits of `NormalizeOptions`; `spans`, int64 (`room_for_spans`, 2), is written.

    Returns:
        needs, uint8 (num_texts,): bits `MALFORMED | UNCLEAN | UNCOMPOSED | UNORDERED`; place, int64
        (num_texts,): the byte (from the start of the text) of the first malformed sequence, or else
        by how many bytes folding can lengthen the text; num_spans: how many pairs are in `spans`, first and last
        byte of each syllable to repair, in order. Of a text that is `UNCLEAN` nothing else is told: `clean` finds it.
    """
    num_texts = len(offsets) - 1
    needs = np.zeros(num_texts, dtype=np.uint8)
    place = np.zeros(num_texts, dtype=np.int64)
    num_spans = np.int64(0)
    for text in range(num_texts):
        start, end, num_before = offsets[text], offsets[text + 1], num_spans
        at, need, num_spans = _scan_ordered(
            data, start, end, symbols, steps, combining, switches, spans, num_spans
        )
        if need & UNCLEAN:
            num_spans = num_before
            at, place[text] = _scan_unclean(data, at, end, symbols)
        if at < end:
            need, place[text] = MALFORMED, at - start
        needs[text] = need | UNORDERED * (num_spans > num_before)
    return needs, place, num_spans


@inner
def _scan_ordered(data, at, end, symbols, steps, combining, switches, spans, num_spans):
    """Read a text up to its end, or to what is malformed or unclean.

    Returns:
        The byte reached, what the text needs, and the number of spans.
    """
    start, state, previous, need = at, OUT, 0, 0
    while at < end:
        first = at
        # Khmer comes in runs: most of the bytes of a Khmer text are read in this small loop.
        index = khmer_index(data, at, end)
        if index >= 0 and previous:
            own = combining_class_in_block(index)
            need |= UNCOMPOSED * (own != 0 and previous > own)
        while index >= 0:
            symbol = symbols[index]
            if symbol & IS_RARE:
                if symbol & IS_DEPRECATED and switches & FOLD_DEPRECATED:
                    return at, need | UNCLEAN, num_spans
                before_coeng = khmer_index(data, at + 3, end) == _COENG_INDEX
                need |= UNCOMPOSED * (index == _ATTHACAN_INDEX and before_coeng)
            step = steps[state | (symbol & SYMBOL_BITS)]
            if step & ENDS_DIRT:
                spans[num_spans, 0], spans[num_spans, 1] = start, at
                num_spans += 1
            start = at if step & STARTS else start
            state = np.int64(step & STATE_BITS)
            at += 3
            index = khmer_index(data, at, end)
        if at == end:
            break
        if at > first:
            previous = combining_class_in_block(last_index(data, at))
        following, length, own = OUT, ascii_run(data, at, end), 0
        if length == 0:
            length = sequence_length(data, at, end)
            if length == 0:
                return at, need, num_spans
            code_point, _ = decode(data, at)
            if is_unclean(code_point, switches):
                return at, need | UNCLEAN, num_spans
            following = np.int64(steps[state | symbol_of_foreign(code_point)] & STATE_BITS)
            own = class_of(code_point, combining)
            need |= UNCOMPOSED * needs_composing(previous, own)
        if state >= DIRTY and following < DIRTY:
            spans[num_spans, 0], spans[num_spans, 1] = start, at
            num_spans += 1
        state, previous = following, own & 0xFF
        at += length
    if state >= DIRTY:
        spans[num_spans, 0], spans[num_spans, 1] = start, end
        num_spans += 1
    return at, need, num_spans


@inner
def _scan_unclean(data, at, end, symbols):
    """Read what is left of a text that is unclean; return the byte reached, and by how many bytes folding can lengthen it."""
    added = 0
    while at < end:
        index = khmer_index(data, at, end)
        while index >= 0:
            added += _MAX_BYTES_ADDED * (symbols[index] >> 7)
            at += 3
            index = khmer_index(data, at, end)
        length = ascii_run(data, at, end)
        if length == 0 and at < end:
            length = sequence_length(data, at, end)
            if length == 0:
                break
        at += length
    return at, added


@inner
def khmer_index(data, at, end):
    """Return the place in the Khmer block of the character at `at`, -1 if it is none of it."""
    if at + 2 >= end or data[at] != 0xE1 or data[at + 1] & 0xFE != 0x9E:
        return -1
    if data[at + 2] & 0xC0 != 0x80:
        return -1
    return (np.int64(data[at + 1] & 1) << 6) | np.int64(data[at + 2] & 0x3F)


@inner
def last_index(data, at):
    """Return the place in the Khmer block of the character before `at`, which is of it."""
    return (np.int64(data[at - 2] & 1) << 6) | np.int64(data[at - 1] & 0x3F)


@inner
def combining_class_in_block(index):
    """Return the canonical combining class of a character of the Khmer block."""
    if index == _COENG_INDEX:
        return _COENG_CLASS
    return _ATTHACAN_CLASS if index == _ATTHACAN_INDEX else 0


@inner
def ascii_run(data, at, end):
    """Return how many bytes of ASCII start at `at`."""
    start = at
    while at < end and data[at] < 0x80:
        at += 1
    return at - start


@inner
def symbol_of_foreign(code_point):
    """Return the symbol of a code point outside the Khmer block."""
    if code_point == cp.ZWNJ:
        return fsm.ZWNJ
    return fsm.ZWJ if code_point == cp.ZWJ else fsm.FOREIGN


@inner
def class_of(code_point, combining):
    """Return the entry of `combining_classes()`."""
    return np.int64(combining[code_point]) if code_point < len(combining) else 0


@inner
def needs_composing(previous, own):
    """Tell whether NFC may change a character, given its class and that of the one before it."""
    return own >= _MAYBE_COMPOSED or (own != 0 and previous > own)


@inner
def is_unclean(code_point, switches):
    """Tell whether `clean` has to look at a code point outside the Khmer block."""
    if code_point == cp.ZWSP:
        return switches & STRIP_ZWSP != 0
    if code_point in (cp.ZWNJ, cp.ZWJ):
        return switches & STRIP_JOINERS != 0
    if code_point in (cp.BOM, cp.SOFT_HYPHEN) or is_idle_mark(code_point):
        return switches & STRIP_IGNORABLES != 0
    separator = code_point in (cp.LINE_SEPARATOR, cp.PARAGRAPH_SEPARATOR)
    return switches & FOLD_SPACES != 0 and (separator or code_point == cp.NO_BREAK_SPACE)


@inner
def is_idle_mark(code_point):
    """Tell whether a character is invisible and says nothing between two characters of Khmer."""
    return code_point in (cp.LEFT_TO_RIGHT_MARK, cp.RIGHT_TO_LEFT_MARK, cp.WORD_JOINER)
