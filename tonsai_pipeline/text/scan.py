"""A batch of UTF-8 texts -> what each text needs, and where the syllables are that are out of order.

One compiled pass that reads every byte once: it checks the encoding, runs the automaton over the
syllables and looks for what `clean` and Normalization Form C would change. In prose it finds work
in one syllable of a thousand; what follows touches only that.
"""

from __future__ import annotations

import numpy as np
from numba import njit

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

# --- what a text needs ------------------------------------------------------------------------------

MALFORMED = 1
UNCLEAN = 2
UNCOMPOSED = 4
UNORDERED = 8

# --- the table of symbols: the automaton's (4 bits), and two flags ------------------------------------

SYMBOL_BITS = 0x0F
IS_COMBINING = 0x40
IS_DEPRECATED = 0x80

_DEPRECATED = (
    cp.INDEPENDENT_QAQ,
    cp.INDEPENDENT_QAA,
    cp.INHERENT_AQ,
    cp.INHERENT_AA,
    cp.BEYYAL,
)
#: BEYYAL becomes three characters: no fold adds more bytes.
_MAX_BYTES_ADDED = 6
_MAYBE_COMPOSED = composition.MAYBE_COMPOSED
_COENG_CLASS, _ATTHACAN_CLASS = 9, 230
_COENG_INDEX = cp.COENG - cp.KHMER_FIRST
_ATTHACAN_INDEX = cp.ATTHACAN - cp.KHMER_FIRST
_FIRST_CAPACITY = 256


def packed_symbols() -> np.ndarray:
    """Return symbol, `IS_DEPRECATED` and `IS_COMBINING` of each Khmer code point, shape (128,)."""
    table = fsm.symbol_table()
    table[[code_point - cp.KHMER_FIRST for code_point in _DEPRECATED]] |= IS_DEPRECATED
    table[[_COENG_INDEX, _ATTHACAN_INDEX]] |= IS_COMBINING
    return table


@njit(cache=True, nogil=True)
def scan(data, offsets, symbols, transitions, combining, switches):
    """Find out what each text needs.

    `symbols` is `packed_symbols()`, `transitions` an `automaton.transition_table`, `combining` is
    `composition.combining_classes()`, `switches` are the bits of `NormalizeOptions`.

    Returns:
        needs, uint8 (num_texts,): bits `MALFORMED | UNCLEAN | UNCOMPOSED | UNORDERED`; place, int64
        (num_texts,): the byte (from the start of the text) of the first malformed sequence, or else
        by how many bytes folding can lengthen the text; spans, int64 (num_spans, 2): first and last
        byte of each syllable to repair, in order.
    """
    num_texts = len(offsets) - 1
    needs = np.zeros(num_texts, dtype=np.uint8)
    place = np.zeros(num_texts, dtype=np.int64)
    spans, num_spans = np.empty((_FIRST_CAPACITY, 2), dtype=np.int64), 0
    for text in range(num_texts):
        at, end, start = offsets[text], offsets[text + 1], offsets[text]
        state, previous, need, num_before = fsm.OUT, 0, 0, num_spans
        while at < end:
            # Khmer comes in runs: most of the bytes of a Khmer text are read in this small loop.
            index = khmer_index(data, at, end)
            while index >= 0:
                symbol = symbols[index]
                following = next_state(transitions, state, symbol & SYMBOL_BITS)
                if state >= fsm.DIRTY and following < fsm.DIRTY:
                    spans, num_spans = add_span(spans, num_spans, start, at)
                start = at if following == fsm.AT_BASE else start
                if symbol & (IS_COMBINING | IS_DEPRECATED) or previous:
                    own = combining_class_in_block(index)
                    need |= UNCOMPOSED * (own != 0 and previous > own)
                    if symbol & IS_DEPRECATED and switches & FOLD_DEPRECATED:
                        need |= UNCLEAN
                        place[text] += _MAX_BYTES_ADDED
                    previous = own
                state = following
                at += 3
                index = khmer_index(data, at, end)
            if at == end:
                break
            following, length, own = fsm.OUT, ascii_run(data, at, end), 0
            if length == 0:
                length = sequence_length(data, at, end)
                if length == 0:
                    need, place[text] = MALFORMED, at - offsets[text]
                    break
                code_point, _ = decode(data, at)
                following = next_state(transitions, state, symbol_of_foreign(code_point))
                own = class_of(code_point, combining)
                need |= UNCLEAN * is_unclean(code_point, switches)
                need |= UNCOMPOSED * needs_composing(previous, own)
            if state >= fsm.DIRTY and following < fsm.DIRTY:
                spans, num_spans = add_span(spans, num_spans, start, at)
            state, previous = following, own & 0xFF
            at += length
        if state >= fsm.DIRTY:
            spans, num_spans = add_span(spans, num_spans, start, end)
        needs[text] = need | UNORDERED * (num_spans > num_before)
    return needs, place, spans[:num_spans]


@njit(cache=True, nogil=True)
def khmer_index(data, at, end):
    """Return the place in the Khmer block of the character at `at`, -1 if it is none of it."""
    if at + 2 >= end or data[at] != 0xE1 or data[at + 1] & 0xFE != 0x9E:
        return -1
    if data[at + 2] & 0xC0 != 0x80:
        return -1
    return (np.int64(data[at + 1] & 1) << 6) | np.int64(data[at + 2] & 0x3F)


@njit(cache=True, nogil=True)
def combining_class_in_block(index):
    """Return the canonical combining class of a character of the Khmer block."""
    if index == _COENG_INDEX:
        return _COENG_CLASS
    return _ATTHACAN_CLASS if index == _ATTHACAN_INDEX else 0


@njit(cache=True, nogil=True)
def ascii_run(data, at, end):
    """Return how many bytes of ASCII start at `at`."""
    start = at
    while at < end and data[at] < 0x80:
        at += 1
    return at - start


@njit(cache=True, nogil=True)
def next_state(transitions, state, symbol):
    """Return where the automaton goes."""
    return np.int64(transitions[(state << 4) | np.int64(symbol)])


@njit(cache=True, nogil=True)
def symbol_of_foreign(code_point):
    """Return the symbol of a code point outside the Khmer block."""
    if code_point == cp.ZWNJ:
        return fsm.ZWNJ
    return fsm.ZWJ if code_point == cp.ZWJ else fsm.FOREIGN


@njit(cache=True, nogil=True)
def class_of(code_point, combining):
    """Return the entry of `combining_classes()`."""
    return np.int64(combining[code_point]) if code_point < len(combining) else 0


@njit(cache=True, nogil=True)
def needs_composing(previous, own):
    """Tell whether NFC may change a character, given its class and that of the one before it."""
    return own >= _MAYBE_COMPOSED or (own != 0 and previous > own)


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def is_idle_mark(code_point):
    """Tell whether a character is invisible and says nothing between two characters of Khmer."""
    return code_point in (cp.LEFT_TO_RIGHT_MARK, cp.RIGHT_TO_LEFT_MARK, cp.WORD_JOINER)


@njit(cache=True, nogil=True)
def add_span(spans, num_spans, start, end):
    """Append a span; return the array, grown if it was full, and the new number."""
    if num_spans == len(spans):
        grown = np.empty((2 * num_spans, 2), dtype=np.int64)
        grown[:num_spans] = spans
        spans = grown
    spans[num_spans, 0], spans[num_spans, 1] = start, end
    return spans, num_spans + 1
