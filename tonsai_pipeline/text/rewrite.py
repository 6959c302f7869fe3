"""Texts and the spans of their disorderly syllables -> the texts with these syllables repaired.

Compiled. What lies between the spans is copied in one piece.
"""

from __future__ import annotations

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import repair, structure
from tonsai_pipeline.text.repair import repair_syllable
from tonsai_pipeline.text.scan import class_of
from tonsai_pipeline.text.structure import slot_of
from tonsai_pipeline.text.utf8 import copy_bytes, decode, encode

_MAX_SYLLABLE = repair.MAX_SYLLABLE
_COLLAPSE_DUPLICATES = repair.COLLAPSE_DUPLICATES
_DUPLICATE_MARK = repair.DUPLICATE_MARK
_NUM_RULES = len(repair.RULES)
_COENG_CLASS, _ATTHACAN_CLASS = 9, 230


@kernel
def rewrite(data, offsets, spans, combining, switches):
    """Repair the syllables at `spans`.

    `spans`, `combining` and `switches` are as for `scan`.

    Returns:
        data and offsets of the new batch (never longer), and the counts, int32, shape
        (num_texts, len(repair.RULES) + 1); the last column counts syllables left as typed.
    """
    num_texts = len(offsets) - 1
    out = np.empty(offsets[num_texts] - offsets[0], dtype=np.uint8)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    counts = np.zeros((num_texts, _NUM_RULES + 1), dtype=np.int32)
    scratch = np.empty((3, _MAX_SYLLABLE), dtype=np.int32)
    to, span = np.int64(0), 0
    for text in range(num_texts):
        copied, end = offsets[text], offsets[text + 1]
        while span < len(spans) and spans[span, 0] < end:
            first, last = spans[span, 0], spans[span, 1]
            size, fired = _repaired(data, first, last, end, combining, switches, scratch)
            counts[text, _NUM_RULES] += size < 0
            if size > 0 and fired:
                to = copy_bytes(data, copied, first, out, to)
                for position in range(size):
                    to = encode(np.int64(scratch[0, position]), out, to)
                copied = last
                for rule in range(_NUM_RULES):
                    counts[text, rule] += (fired >> rule) & 1
            span += 1
        to = copy_bytes(data, copied, end, out, to)
        new_offsets[text + 1] = to
    return out[:to], new_offsets, counts


@inner
def _repaired(data, first, last, end, combining, switches, scratch):
    """Repair one syllable into `scratch[0]`.

    Returns:
        Its size, -1 if it must be left as typed, and the rules that applied.
    """
    syllable = scratch[0]
    size, fired = read_syllable(data, first, last, syllable, switches)
    if size == 0:
        return -1, 0
    size, changed = repair_syllable(syllable, size, scratch[1], scratch[2], switches)
    fired |= changed
    if fired and not _fits(syllable, size, data, last, end, combining):
        return -1, 0
    return size, fired


@inner
def read_syllable(data, start, end, syllable, switches):
    """Read a syllable's code points; return how many, 0 if too many, and `DUPLICATE_MARK` or 0.

    A mark typed many times in a row is read once, so that lengthened words still fit.
    """
    size, fired = np.int64(0), 0
    while start < end:
        code_point, length = decode(data, start)
        start += length
        if switches & _COLLAPSE_DUPLICATES and repair.repeats(np.int32(code_point), syllable, size):
            fired = _DUPLICATE_MARK
            continue
        if size == _MAX_SYLLABLE:
            return 0, 0
        syllable[size] = code_point
        size += 1
    return size, fired


@inner
def _fits(syllable, size, data, at, end, combining):
    """Tell whether a repaired syllable leaves what follows it alone.

    A coeng or ZWJ at its end would draw in the next base; a mark of a high combining class would
    change places with the next mark under NFC.
    """
    if at >= end:
        return True
    last = syllable[size - 1]
    code_point, _ = decode(data, at)
    if (last in (cp.COENG, cp.ZWJ)) and slot_of(code_point) == structure.BASE:
        return False
    if last not in (cp.COENG, cp.ATTHACAN):
        return True
    following = class_of(code_point, combining) & 0xFF
    return following == 0 or following >= (_COENG_CLASS if last == cp.COENG else _ATTHACAN_CLASS)
