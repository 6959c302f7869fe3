"""Bytes of a JSON document -> its top-level values, by brackets and quotes alone.

[ {"a": 1}, {"b": "x]"} ]  ──Splitter.feed──▶ Value(b'{"a": 1}'), Value(b'{"b": "x]"}')
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tonsai_pipeline.storage.dumps.lines import BOM
from tonsai_pipeline.storage.dumps.records import EXCERPT_CHARS

_OUTSIDE = re.compile(rb'["\[\]{},]')
#: What a string goes on with: up to its closing quote, or to a backslash at the end of the chunk.
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
SPACE = b" \t\r\n"


class Value(NamedTuple):
    """One top-level value.

    Attributes:
        data: Its bytes, or their beginning if it is longer than the limit.
        offset: Where it begins, in decompressed bytes.
        num_bytes: Its length so far.
        complete: False if the file ended inside it, or if it has just grown beyond the limit.
    """

    data: bytes
    offset: int
    num_bytes: int
    complete: bool


class Splitter:
    """Brackets and quotes seen so far, and the value being collected: of an array, or of values in a row.

    Attributes:
        offset: Of the next byte to be fed.
    """

    def __init__(self, max_bytes: int, offset: int) -> None:
        self.offset = offset
        self._max_bytes = max_bytes
        #: 1 inside an array, 0 in a row of values, None before the first byte.
        self._floor: int | None = None
        self._closed = False  # the array has ended
        self._last_byte = b""
        self._begin_value()

    def feed(self, chunk: bytes) -> Iterator[Value]:
        """Take the next bytes; yield the values that end in them, and one that grows too long in them."""
        position = self._open(chunk) if self._floor is None else 0
        self._last_byte = chunk.rstrip(SPACE)[-1:] or self._last_byte
        base, self.offset = self.offset, self.offset + len(chunk)
        yield from self._scan(chunk, position, base)

    @property
    def is_ended(self) -> bool:
        """Tell whether the file, if it ends here, is whole: an array has its closing bracket."""
        return self._floor != 1 or self._last_byte == b"]"

    def replay(self, data: bytes, offset: int) -> Iterator[Value]:
        """Forget the current value; take bytes that were seen before as the beginning of another one."""
        self._begin_value()
        yield from self._scan(data, 0, offset)

    def goes_on(self, data: bytes) -> bool:
        """Tell whether a value that begins so is not at its end there."""
        probe = Splitter(len(data) + 1, 0)
        probe._floor = self._floor
        probe._begin_value()
        for _ in probe.feed(data):
            pass
        return probe._in_string or probe._depth > (probe._floor or 0)

    def go_to(self, offset: int) -> None:
        """Go on at a record further on."""
        self.offset = offset
        if self._floor is None:
            self._floor = self._depth = 1

    def skip(self, value: Value) -> None:
        """Keep only the beginning of the current value, which is too long, and go on to its end."""
        self._data = bytearray(value.data[: 4 * EXCERPT_CHARS])
        self._is_skipping = True

    def take_open(self) -> Value | None:
        """Forget the value that has begun and return it; None if there is none."""
        value = Value(bytes(self._data), self._start, self._num_bytes, complete=False)
        self._begin_value()
        return value if value.num_bytes else None

    def finish(self) -> Iterator[Value]:
        """Yield what is left when the file has ended."""
        if self._floor == 1 and not self._closed:
            start = self._start if self._num_bytes else self.offset
            yield Value(bytes(self._data), start, self._num_bytes, complete=False)
        elif self._depth == self._floor and not self._in_string:
            yield from self._end_value()
        elif self._num_bytes:
            yield Value(bytes(self._data), self._start, self._num_bytes, complete=False)

    def _open(self, chunk: bytes) -> int:
        """Find out from the first character whether this is an array."""
        first = chunk.lstrip(SPACE)[:1]
        if not first:
            return len(chunk)
        self._floor = 1 if first == b"[" else 0
        self._depth = self._floor
        return chunk.index(first) + self._floor

    def _scan(self, chunk: bytes, position: int, base: int) -> Iterator[Value]:
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
                self._collect(chunk[start:end], base + start)
                start = position
                yield from self._end_value()
        self._collect(chunk[start:], base + start)
        if self._num_bytes > self._max_bytes and not self._is_skipping:
            yield Value(bytes(self._data), self._start, self._num_bytes, complete=False)

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
        elif token == b"[" and self._closed and self._depth == 0:
            # Another array behind the first: files that were joined.
            self._closed = False
            self._is_bracket = True
            return end
        elif token == b"{" and self._closed and self._depth == 0:
            # The array went on: what closed it was a stray bracket.
            self._closed, self._depth = False, 2
        elif token in b"[{":
            self._depth += 1
        elif token == b",":
            return start if self._depth == floor == 1 else None
        elif token == b"]" and self._depth == floor == 1:
            self._depth, self._closed = 0, True
            return start
        else:
            self._depth = max(floor, self._depth - 1)
            return end if self._depth == floor == 0 else None
        return None

    def _begin_value(self) -> None:
        self._data = bytearray()
        self._start = 0
        self._num_bytes = 0
        self._is_skipping = False
        self._is_bracket = False  # what was collected only opens another array
        self._in_string = False
        self._escaped = False  # the last chunk ended in a backslash
        self._depth = 0 if self._closed else self._floor or 0

    def _collect(self, piece: bytes, position: int) -> None:
        if not self._num_bytes:
            stripped = piece.lstrip(SPACE + b",").removeprefix(BOM).lstrip(SPACE)
            position += len(piece) - len(stripped)
            piece = stripped
            self._start = position
        self._num_bytes += len(piece)
        if not self._is_skipping:
            self._data += piece

    def _end_value(self) -> Iterator[Value]:
        data = bytes(self._data).rstrip(SPACE)
        num_bytes = self._num_bytes if self._is_skipping else len(data)
        start, is_bracket = self._start, self._is_bracket
        self._begin_value()
        if data and not is_bracket:
            yield Value(data, start, num_bytes, complete=True)
