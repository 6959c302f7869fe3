"""Texts -> how many syllables they have, and how many marks and syllables are broken.

Compiled; for the report and the quality signals, on text that is already repaired.
"""

from __future__ import annotations

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import automaton as fsm
from tonsai_pipeline.text import repair, scan
from tonsai_pipeline.text.rewrite import read_syllable
from tonsai_pipeline.text.scan import ascii_run, khmer_index, symbol_of_foreign
from tonsai_pipeline.text.structure import is_modern_syllable
from tonsai_pipeline.text.utf8 import decode

#: Stands in for a base where a mark is shown by itself, as in dictionaries.
_DOTTED_CIRCLE = 0x25CC
_MAX_SYLLABLE = repair.MAX_SYLLABLE
_AT_COENG, _AT_SECOND_COENG = fsm.AT_COENG << 4, fsm.AT_SECOND_COENG << 4


@kernel
def measure(data, offsets, symbols, steps):
    """Count syllables, marks without a base and broken syllables of valid UTF-8.

    `symbols` is `scan.packed_symbols()`, `steps` the `scan.packed_steps` that do not fold coeng DA.

    Returns:
        int32, shape (num_texts, 3): num_clusters, num_orphan_marks, num_invalid_clusters. A
        cluster is invalid where it is no Modern Khmer syllable (UTN #61 p. 16).
    """
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, 3), dtype=np.int32)
    syllable = np.empty(_MAX_SYLLABLE, dtype=np.int32)
    for text in range(num_texts):
        at, end, start, state = offsets[text], offsets[text + 1], offsets[text], scan.OUT
        num_clusters, num_orphans, num_broken = 0, 0, 0
        while at < end:
            index = khmer_index(data, at, end)
            while index >= 0:
                step = steps[state | (symbols[index] & scan.SYMBOL_BITS)]
                if step & scan.ENDS_BROKEN:
                    num_broken += _is_broken(data, start, at, state, syllable)
                num_clusters += step & scan.STARTS != 0
                num_orphans += step & scan.ORPHAN != 0
                start = at if step & scan.STARTS else start
                state = np.int64(step & scan.STATE_BITS)
                at += 3
                index = khmer_index(data, at, end)
            if at == end:
                break
            following, length, hosted = scan.OUT, ascii_run(data, at, end), False
            if length == 0:
                code_point, length = decode(data, at)
                following = np.int64(steps[state | symbol_of_foreign(code_point)] & scan.STATE_BITS)
                hosted = code_point == _DOTTED_CIRCLE
            if following <= scan.AT_BASE and state > scan.AT_BASE:
                num_broken += _is_broken(data, start, at, state, syllable)
            start = at if hosted else start
            state = scan.AT_BASE if hosted else following
            at += length
        if state > scan.AT_BASE:
            num_broken += _is_broken(data, start, end, state, syllable)
        counts[text, 0], counts[text, 1], counts[text, 2] = num_clusters, num_orphans, num_broken
    return counts


@kernel
def count_zwsp(data, offsets):
    """Count the zero-width spaces of each text; int32, shape (num_texts,)."""
    counts = np.zeros(len(offsets) - 1, dtype=np.int32)
    for text in range(len(counts)):
        for at in range(offsets[text], offsets[text + 1] - 2):
            found = data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0x8B
            counts[text] += found
    return counts


@inner
def _is_broken(data, start, end, state, syllable):
    """Tell whether the syllable that ends in `state` is none of Modern Khmer."""
    if state in (_AT_COENG, _AT_SECOND_COENG):
        return True
    if state < scan.DIRTY:
        return False
    size, _ = read_syllable(data, start, end, syllable, np.int64(0))
    return not is_modern_syllable(syllable, size)
