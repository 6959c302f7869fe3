"""Texts -> how many syllables they have, and how many marks and syllables are broken.

Compiled; for the report and the quality signals, on text that is already repaired.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tonsai_pipeline.text import automaton as fsm
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import repair, structure
from tonsai_pipeline.text.rewrite import read_syllable
from tonsai_pipeline.text.scan import SYMBOL_BITS, khmer_index, next_state, symbol_of_foreign
from tonsai_pipeline.text.structure import is_modern_syllable
from tonsai_pipeline.text.utf8 import decode

#: Stands in for a base where a mark is shown by itself, as in dictionaries.
_DOTTED_CIRCLE = 0x25CC
_MAX_SYLLABLE = repair.MAX_SYLLABLE


@njit(cache=True, nogil=True)
def measure(data, offsets, symbols, transitions):
    """Count syllables, marks without a base and broken syllables of valid UTF-8.

    `symbols` is `scan.packed_symbols()`, `transitions` the `automaton.transition_table` that does not
    fold coeng DA.

    Returns:
        int32, shape (num_texts, 3): num_clusters, num_orphan_marks, num_invalid_clusters. A
        cluster is invalid where it is no Modern Khmer syllable (UTN #61 p. 16).
    """
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, 3), dtype=np.int32)
    syllable = np.empty(_MAX_SYLLABLE, dtype=np.int32)
    for text in range(num_texts):
        at, end, start, state = offsets[text], offsets[text + 1], offsets[text], fsm.OUT
        while at <= end:
            if state == fsm.OUT:
                while at < end and data[at] < 0x80:
                    at += 1
            following, length, orphan, hosted = fsm.OUT, 1, False, False
            if at < end and data[at] >= 0x80:
                index = khmer_index(data, at, end)
                length = 3
                if index >= 0:
                    following = next_state(transitions, state, symbols[index] & SYMBOL_BITS)
                    orphan = max(state, following) <= fsm.OUT_OPEN and _is_mark(index)
                else:
                    code_point, length = decode(data, at)
                    following = next_state(transitions, state, symbol_of_foreign(code_point))
                    hosted = code_point == _DOTTED_CIRCLE
            if following <= fsm.AT_BASE and state > fsm.AT_BASE:
                counts[text, 2] += _is_broken(data, start, at, state, syllable)
            counts[text, 1] += orphan
            if following == fsm.AT_BASE or hosted:
                counts[text, 0] += not hosted
                start = at
            state = fsm.AT_BASE if hosted else following
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
def _is_mark(index):
    """Tell whether a character of the Khmer block must hang on a base."""
    return structure.slot_of(cp.KHMER_FIRST + index) > structure.BASE


@njit(cache=True, nogil=True)
def _is_broken(data, start, end, state, syllable):
    """Tell whether the syllable that ends in `state` is none of Modern Khmer."""
    if state in (fsm.AT_COENG, fsm.AT_SECOND_COENG):
        return True
    if state < fsm.DIRTY:
        return False
    size, _ = read_syllable(data, start, end, syllable, 0)
    return not is_modern_syllable(syllable, size)
