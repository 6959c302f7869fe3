"""Normalized text -> a key that is equal for texts a reader would call the same.

For comparing only: case, digits, spaces and punctuation are gone, and two letters that writers mix
(U+17B2 and U+17B1) are one. The corpus itself is never folded like this.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.clusters import kind_of
from tonsai_pipeline.text.utf8 import (
    Texts,
    Utf8Batch,
    arrow_of_batch,
    batch_of_arrow,
    batch_of_text,
    decode,
    encode,
    frozen,
)

#: Bumped when the same text would give another key: part of every signature's scheme id.
DEDUP_KEY_VERSION = "1"


def dedup_key(text: str) -> str:
    """Return the key of one normalized text.

    Words of other scripts stay apart by one space; Khmer, which writes none between words, and
    where a space is punctuation, is joined.

    Examples:
        >>> dedup_key("ឲ្យ ១០០ ដុល្លារ ។") == dedup_key("ឱ្យ100 ដុល្លារ។")
        True
        >>> dedup_key("Hello,  World!")
        'hello world'
    """
    return _fold(batch_of_text(text)).data.tobytes().decode("utf-8")


def dedup_key_batch(texts: Texts) -> pa.LargeStringArray:
    """Return the key of each text; nulls stay null."""
    return arrow_of_batch(_fold(batch_of_arrow(texts)), texts)


def _fold(batch: Utf8Batch) -> Utf8Batch:
    data, offsets = _fold_texts(*batch, ch.character_kinds(), _folds())
    return Utf8Batch(frozen(data), frozen(offsets))


@cache
def _folds() -> npt.NDArray[np.int32]:
    """Return what each code point below U+3000 is folded to, shape (0x3000,)."""
    table = np.arange(0x3000, dtype=np.int32)
    for code_point in range(0x3000):
        lower = chr(code_point).lower()
        # A fold that takes more bytes would outgrow the buffer; U+023A and U+023E alone do.
        if len(lower) == 1 and len(lower.encode()) <= len(chr(code_point).encode()):
            table[code_point] = ord(lower)
    for digit in range(10):
        table[cp.DIGIT_ZERO + digit] = ord("0") + digit
    table[cp.INDEPENDENT_QOO_TWO] = cp.INDEPENDENT_QOO_ONE
    return frozen(table)


@kernel
def _fold_texts(data, offsets, kinds, folds):
    num_texts = len(offsets) - 1
    out = np.empty(offsets[num_texts] - offsets[0], dtype=np.uint8)
    new_offsets = np.zeros(num_texts + 1, dtype=np.int64)
    to = np.int64(0)
    for text in range(num_texts):
        to = _fold_text(data, offsets[text], offsets[text + 1], out, to, kinds, folds)
        new_offsets[text + 1] = to
    return out[:to], new_offsets


@inner
def _fold_text(data, at, end, out, to, kinds, folds):
    """Write the key of `data[at:end]` at byte `to` of `out`; return the byte after it."""
    empty, gap, after_khmer, previous = True, False, False, 0
    while at < end:
        code_point, length = decode(data, at)
        at += length
        kind = kind_of(code_point, kinds)
        if kind == ch.SEPARATOR:
            gap = True
            continue
        khmer = kind in (ch.KHMER_BASE, ch.KHMER_MARK)
        if gap and not (empty or khmer or after_khmer):
            out[to] = 0x20
            to += 1
        if code_point == cp.LETTER_DA and previous == cp.COENG:
            code_point = cp.LETTER_TA
        previous = code_point
        folded = folds[code_point] if code_point < len(folds) else code_point
        to = encode(np.int64(folded), out, to)
        empty, gap, after_khmer = False, False, khmer
    return to
