"""Texts -> the same texts in Unicode Normalization Form C.

The work is `unicodedata`'s; this module finds the few texts that need it, and keeps it linear.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.text.utf8 import Utf8Batch, frozen

#: Added to the combining class of a character that NFC may replace or join to the one before it.
MAYBE_COMPOSED = 0x100

# Nothing above needs NFC but the compatibility ideographs of plane 2 (U+2F800..U+2FA1D).
_LAST_COMPOSED = 0x2FA1F
_HANGUL_VOWELS_AND_FINALS = ((0x1161, 0x1175), (0x11A8, 0x11C2))
# Longer runs of marks than this are put in order here: `unicodedata` sorts them by insertion, and
# 50 MB of marks would take it days.
_MAX_RUN = 32
# Of class 0 themselves, but NFC always replaces them by two marks: a run goes on through them.
_SPLIT_MARKS = "\u0f73\u0f75\u0f81"


@cache
def combining_classes() -> npt.NDArray[np.uint16]:
    """Return each code point's combining class, with `MAYBE_COMPOSED` where NFC does more than order.

    Shape (0x2FA20,); what lies beyond needs nothing.
    """
    table = np.zeros(_LAST_COMPOSED + 1, dtype=np.uint16)
    for code_point in (*range(0x00A0, 0x1F000), *range(0x2F800, _LAST_COMPOSED + 1)):
        character = chr(code_point)
        table[code_point] |= unicodedata.combining(character)
        decomposition = unicodedata.decomposition(character)
        if decomposition and not decomposition.startswith("<"):
            if not unicodedata.is_normalized("NFC", character):
                table[code_point] |= MAYBE_COMPOSED
            for part in decomposition.split()[1:]:
                if int(part, 16) >= 0x300:
                    table[int(part, 16)] |= MAYBE_COMPOSED
    for first, last in _HANGUL_VOWELS_AND_FINALS:
        table[first : last + 1] |= MAYBE_COMPOSED
    return frozen(table)


def compose(text: str) -> str:
    r"""Return the text in Normalization Form C, in linear time.

    >>> compose("cafe\u0301") == "caf\u00e9"
    True
    """
    if unicodedata.is_normalized("NFC", text):
        return text
    return unicodedata.normalize("NFC", _order_long_runs(text))


def compose_texts(batch: Utf8Batch, rows: npt.NDArray[np.int64]) -> tuple[Utf8Batch, list[int]]:
    """Compose the texts in `rows`; return the batch and the rows that changed."""
    data, offsets = batch
    pieces: list[npt.NDArray[np.uint8]] = []
    lengths = np.diff(offsets)
    changed: list[int] = []
    copied = int(offsets[0])
    for row in rows.tolist():
        start, end = int(offsets[row]), int(offsets[row + 1])
        text = data[start:end].tobytes().decode("utf-8")
        composed = compose(text)
        if composed == text:
            continue
        encoded = np.frombuffer(composed.encode("utf-8"), dtype=np.uint8)
        pieces += [data[copied:start], encoded]
        copied, lengths[row] = end, len(encoded)
        changed.append(row)
    if not changed:
        return batch, changed
    pieces.append(data[copied : int(offsets[-1])])
    new_offsets = np.zeros(len(offsets), dtype=np.int64)
    np.cumsum(lengths, out=new_offsets[1:])
    return Utf8Batch(frozen(np.concatenate(pieces)), frozen(new_offsets)), changed


def _order_long_runs(text: str) -> str:
    """Sort runs of more than `_MAX_RUN` combining marks by class, as NFC would."""
    for vowel in _SPLIT_MARKS:
        text = text.replace(vowel, unicodedata.normalize("NFD", vowel))
    codec = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
    code_points = np.frombuffer(text.encode(codec), dtype=np.uint32)
    classes = combining_classes()[np.minimum(code_points, _LAST_COMPOSED)].astype(np.uint8)
    is_mark = np.concatenate([[False], classes != 0, [False]])
    edges = np.flatnonzero(is_mark[1:] != is_mark[:-1])
    starts, ends = edges[::2], edges[1::2]
    long = np.flatnonzero(ends - starts > _MAX_RUN)
    if not len(long):
        return text
    ordered = code_points.copy()
    for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True):
        # A stable sort of bytes is a radix sort: linear.
        order = np.argsort(classes[start:end], kind="stable")
        ordered[start:end] = code_points[start:end][order]
    return ordered.tobytes().decode(codec)
