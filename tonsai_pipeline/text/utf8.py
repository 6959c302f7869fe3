"""Arrow string arrays <-> flat UTF-8 buffers, and the compiled steps that read and write them.

A batch of texts is two arrays: `data`, uint8, every text end to end, and `offsets`, int64, shape
(num_texts + 1,). Both are read-only wherever they are an input: numba compiles a read-only and a
writable array apart, and one signature a function keeps compilation short.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.compiled import inner, kernel

#: An Arrow array of strings of any kind.
Texts: TypeAlias = "pa.Array | pa.ChunkedArray"


class Utf8Batch(NamedTuple):
    """Texts as flat buffers: `data` uint8, `offsets` int64 with one more entry than texts."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]


def frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


def batch_of_text(text: str) -> Utf8Batch:
    """Return one text as a batch of one.

    Raises:
        ValueError: the text holds a lone surrogate; the position (code points) is named.
    """
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"lone surrogate U+{ord(text[error.start]):04X} at position {error.start}"
        ) from None
    data = np.frombuffer(encoded, dtype=np.uint8)
    return Utf8Batch(data, frozen(np.array([0, len(encoded)], dtype=np.int64)))


def batch_of_arrow(texts: Texts) -> Utf8Batch:
    """Return the texts of an Arrow string array; a null is an empty text. Copies only if it must.

    Raises:
        ValueError: the array holds something other than strings.
    """
    kind = texts.type
    if not any(is_text(kind) for is_text in _TEXT_TYPES):
        raise ValueError(f"expected an array of strings, got {kind}")
    array = texts.cast(pa.large_string())
    if array.null_count:
        array = array.fill_null("")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], kind)
            array = array.cast(pa.large_string())
    _, offset_buffer, data_buffer = array.buffers()
    if len(array) == 0 or offset_buffer is None:
        return Utf8Batch(_EMPTY, frozen(np.zeros(1, dtype=np.int64)))
    first = array.offset
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[first : first + len(array) + 1]
    data = _EMPTY if data_buffer is None else np.frombuffer(data_buffer, dtype=np.uint8)
    return Utf8Batch(frozen(data), frozen(offsets))


def arrow_of_batch(batch: Utf8Batch, like: Texts) -> pa.LargeStringArray:
    """Return the batch as an Arrow array, null where `like` is null. Does not copy the text."""
    validity = None
    if like.null_count:
        mask = like.is_valid()
        if isinstance(mask, pa.ChunkedArray):
            mask = pa.concat_arrays(mask.chunks)
        validity = pa.array(mask.to_numpy(zero_copy_only=False)).buffers()[1]
    buffers = [validity, pa.py_buffer(batch.offsets), pa.py_buffer(batch.data)]
    num_texts = len(batch.offsets) - 1
    return pa.Array.from_buffers(pa.large_string(), num_texts, buffers, like.null_count)


# An Arrow array made of nulls alone, or of nothing, has a type of its own.
_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_null,
)
_EMPTY: npt.NDArray[np.uint8] = frozen(np.zeros(0, dtype=np.uint8))


# --- compiled ---------------------------------------------------------------------------------


@kernel
def decode(data, at):
    """Return the code point at byte `at` of valid UTF-8, and its length in bytes."""
    first = np.int32(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (data[at + 1] & 0x3F), 2
    if first < 0xF0:
        middle = (np.int32(data[at + 1]) & 0x3F) << 6
        return ((first & 0x0F) << 12) | middle | (data[at + 2] & 0x3F), 3
    middle = ((np.int32(data[at + 1]) & 0x3F) << 12) | ((np.int32(data[at + 2]) & 0x3F) << 6)
    return ((first & 0x07) << 18) | middle | (data[at + 3] & 0x3F), 4


@kernel
def encode(code_point, out, at):
    """Write a code point as UTF-8 at byte `at` of `out`; return the byte after it."""
    if code_point < 0x80:
        out[at] = code_point
        return at + 1
    if code_point < 0x800:
        out[at] = 0xC0 | (code_point >> 6)
        out[at + 1] = 0x80 | (code_point & 0x3F)
        return at + 2
    if code_point < 0x10000:
        out[at] = 0xE0 | (code_point >> 12)
        out[at + 1] = 0x80 | ((code_point >> 6) & 0x3F)
        out[at + 2] = 0x80 | (code_point & 0x3F)
        return at + 3
    out[at] = 0xF0 | (code_point >> 18)
    out[at + 1] = 0x80 | ((code_point >> 12) & 0x3F)
    out[at + 2] = 0x80 | ((code_point >> 6) & 0x3F)
    out[at + 3] = 0x80 | (code_point & 0x3F)
    return at + 4


@inner
def sequence_length(data, at, end):
    """Return the length in bytes (2-4) of the well-formed sequence at `at`, 0 if there is none.

    `data[at]` is not ASCII. Source: The Unicode Standard, table 3-7 (well-formed UTF-8).
    """
    first = data[at]
    if first < 0xC2 or first > 0xF4:
        return 0
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if at + length > end:
        return 0
    second = data[at + 1]
    low = 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80
    high = 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
    if second < low or second > high:
        return 0
    for step in range(2, length):
        if data[at + step] & 0xC0 != 0x80:
            return 0
    return length


@inner
def copy_bytes(source, start, end, out, at):
    """Copy `source[start:end]` to `out[at:]`; return the byte after it."""
    for position in range(start, end):
        out[at] = source[position]
        at += 1
    return at
