"""A JSON document -> records: an array of objects, or objects one after another, of any size.

    [ {"text": ...}, {"text": ...} ]  ─┐
    {"text": ...} {"text": ...}       ─┴─split_values──▶ bytes of one value ──parse──▶ RawRecord | BadRow

The file is cut at its top-level values by brackets and quotes alone, so that memory is bounded by one
record and a broken record costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tonsai_pipeline.storage.dumps.jsonl import parse_json, parse_record, read_jsonl
from tonsai_pipeline.storage.dumps.records import (
    EXCERPT_CHARS,
    BadRow,
    RawRecord,
    ReadOptions,
    excerpt,
    too_long,
)
from tonsai_pipeline.storage.dumps.streams import ByteStream, end_of

_CHUNK_BYTES = 256 << 10
_OUTSIDE = re.compile(rb'["\[\]{},]')
#: What a string goes on with: up to its closing quote, or to a backslash at the end of the chunk.
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_SPACE = b" \t\r\n"


class Value(NamedTuple):
    """One top-level value.

    Attributes:
        data: Its bytes, or their beginning if it is longer than the limit.
        offset: Where it begins, in decompressed bytes.
        num_bytes: Its length.
        complete: False if the file ended inside it.
    """

    data: bytes
    offset: int
    num_bytes: int
    complete: bool


def read_json(
    stream: ByteStream, options: ReadOptions, *, offset: int = 0
) -> Iterator[RawRecord | BadRow]:
    """Read a `.json` file, whichever of its three habits it has: array, objects, or JSON Lines."""
    if _is_jsonl(stream):
        yield from read_jsonl(stream, options, offset=offset)
        return
    row, value = 0, None
    for value in split_values(stream, options.max_record_bytes, offset=offset):
        if not value.complete:
            break
        if row >= options.start_row:
            if value.num_bytes > options.max_record_bytes:
                yield too_long(
                    value.num_bytes, value.data, row=row, byte_offset=value.offset, options=options
                )
            else:
                yield parse_record(value.data, row=row, byte_offset=value.offset, options=options)
        row += 1
    position = None if value is None or value.complete else value.offset
    fragment = b"" if value is None or value.complete else value.data
    if stream.damage is not None:
        yield from end_of(stream, row=row, byte_offset=position, fragment=fragment)
    elif value is not None and not value.complete:
        detail = "the file ends inside a record or before the end of its array"
        yield BadRow(row, position, "truncated_file", detail, excerpt(fragment))


def split_values(stream: ByteStream, max_bytes: int, *, offset: int = 0) -> Iterator[Value]:
    """Cut a stream at its top-level values: the elements of an array, or whatever stands in a row.

    Args:
        stream: Where to read on.
        max_bytes: Longest value that is given whole, in bytes.
        offset: Bytes already read from the stream.

    Yields:
        The values; the last one is incomplete if the file ends inside it or before the array's end.
    """
    splitter = _Splitter(max_bytes, offset)
    while chunk := stream.read(_CHUNK_BYTES):
        yield from splitter.feed(chunk)
    yield from splitter.finish()


class _Splitter:
    """Brackets and quotes seen so far, and the value being collected."""

    def __init__(self, max_bytes: int, offset: int) -> None:
        self._max_bytes = max_bytes
        self._offset = offset  # of the chunk being read
        self._floor: int | None = (
            None  # 1 inside an array, 0 in a row of values, None before the first byte
        )
        self._depth = 0
        self._in_string = False
        self._escaped = False  # the last chunk ended in a backslash
        self._closed = False  # the array has ended
        self._begin_value()

    def feed(self, chunk: bytes) -> Iterator[Value]:
        """Take the next bytes; yield the values that end in them."""
        position = self._open(chunk) if self._floor is None else 0
        start = position  # of the bytes of this chunk not yet collected
        while position < len(chunk):
            if self._in_string:
                position = self._string_end(chunk, position)
                continue
            token = _OUTSIDE.search(chunk, position)
            if token is None:
                break
            position = token.end()
            end = self._step(token.group(), token.start(), position)
            if end is not None:
                self._collect(chunk[start:end], start)
                start = position
                yield from self._end_value()
        self._collect(chunk[start:], start)
        self._offset += len(chunk)

    def finish(self) -> Iterator[Value]:
        """Yield what is left when the file has ended."""
        is_open = self._floor == 1 and not self._closed
        if self._floor == 0 and not self._depth and not self._in_string:
            yield from self._end_value()
        elif is_open or self._num_bytes:
            if self._depth == self._floor and not self._in_string:
                yield from self._end_value()
            start = self._start if self._num_bytes else self._offset
            yield Value(bytes(self._data), start, self._num_bytes, complete=False)

    def _open(self, chunk: bytes) -> int:
        """Find out from the first character whether this is an array."""
        first = chunk.lstrip(_SPACE)[:1]
        if not first:
            return len(chunk)
        self._floor = 1 if first == b"[" else 0
        self._depth = self._floor
        return chunk.index(first) + self._floor

    def _string_end(self, chunk: bytes, position: int) -> int:
        if self._escaped:
            self._escaped = False
            position += 1
        position = _INSIDE.match(chunk, position).end()  # pyright: ignore[reportOptionalMemberAccess]
        if position < len(chunk):
            self._in_string = chunk[position : position + 1] != b'"'
            self._escaped = self._in_string
            position += 1
        return position

    def _step(self, token: bytes, start: int, end: int) -> int | None:
        """Follow one bracket, quote or comma; return where the current value ends, if it does."""
        floor = self._floor or 0
        if token == b'"':
            self._in_string = True
        elif token in b"[{":
            self._depth += 1
        elif token == b",":
            return start if self._depth == floor == 1 else None
        else:
            self._depth = max(0, self._depth - 1)
            if floor == 1 and self._depth == 0 and not self._closed:
                self._closed = True
                return start
            if floor == 0 and self._depth == 0:
                return end
        return None

    def _begin_value(self) -> None:
        self._data = bytearray()
        self._start = 0
        self._num_bytes = 0

    def _collect(self, piece: bytes, position: int) -> None:
        if not self._num_bytes:
            stripped = piece.lstrip(_SPACE)
            position += len(piece) - len(stripped)
            piece = stripped
            self._start = self._offset + position
        self._num_bytes += len(piece)
        if self._num_bytes <= self._max_bytes:
            self._data += piece
        elif len(self._data) > 4 * EXCERPT_CHARS or piece:
            self._data = (self._data + piece[: 4 * EXCERPT_CHARS])[: 4 * EXCERPT_CHARS]

    def _end_value(self) -> Iterator[Value]:
        data = bytes(self._data).rstrip(_SPACE)
        num_bytes = self._num_bytes if self._num_bytes > self._max_bytes else len(data)
        if data:
            yield Value(data, self._start, num_bytes, complete=True)
        self._begin_value()


def _is_jsonl(stream: ByteStream) -> bool:
    """Tell whether the first line is an object by itself; a pretty-printed file's first line is not."""
    line, newline, _ = stream.peek(1).partition(b"\n")
    if not newline or not line.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(parse_json(line), dict)
    except (ValueError, RecursionError):
        return False
