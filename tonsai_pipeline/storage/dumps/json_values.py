"""A JSON document -> records: an array of objects, or objects one after another, of any size.

    [ {"text": ...}, {"text": ...} ]  ─┐
    {"text": ...} {"text": ...}       ─┴─split_values──▶ bytes of one value ──parse──▶ RawRecord | BadRow

The file is cut at its top-level values by brackets and quotes alone, so that memory is bounded by one
record. A stray quote turns text into structure and structure into text; what looks like one value then holds
many records. Such a value is cut where a record ends and another one begins, and costs only the broken one:

    {"text": "a"}, {"text": "b " c"}, {"text": "d"}, {"text": "e"}
                   └─────────────── one value ─────────────────── ...
    └── good ──┘ ⎮ └── broken ────┘ ⎮ └─ good ───┘ ⎮ └─ good ───┘           ⎮ = `}, {"` of a record's first field
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from tonsai_pipeline.storage.dumps.jsonl import parse_json, parse_record, read_jsonl
from tonsai_pipeline.storage.dumps.lines import BOM
from tonsai_pipeline.storage.dumps.records import (
    EXCERPT_CHARS,
    BadRow,
    RawRecord,
    ReadOptions,
    Tally,
    excerpt,
    too_long,
)
from tonsai_pipeline.storage.dumps.streams import ByteStream, Damage, bad_of

_CHUNK_BYTES = 256 << 10
_OUTSIDE = re.compile(rb'["\[\]{},]')
#: What a string goes on with: up to its closing quote, or to a backslash at the end of the chunk.
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_SPACE = b" \t\r\n"
#: The name of an object's first field, and where any object follows another.
_FIRST_NAME = re.compile(rb'\{\s*"((?:[^"\\]|\\.)*)"')
_ANY_BORDER = re.compile(rb'\}\s*,?\s*(?=\{\s*")')
#: Pieces of a broken value that are tried as one record: objects inside a record look like borders too.
_MAX_JOINED = 16
#: Bytes that hold a border and the name of a first field.
_BORDER_BYTES = 256
#: The beginning of a `.jsonl` file that holds an array, or objects over several lines.
_LIST_OF_OBJECTS = re.compile(rb"\[\s*\{")
_NO_LINES = re.compile(rb"\s*(?:\[\s*(?:\{|\])|\{\s*\n)")


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


def read_json(
    stream: ByteStream, options: ReadOptions, *, offset: int = 0, lines: bool = False
) -> Iterator[RawRecord | BadRow]:
    """Read JSON in any of its three habits: array, objects in a row, or JSON Lines.

    Args:
        stream: Where to read on.
        options: How.
        offset: Bytes already read from the stream.
        lines: The file claims to be JSON Lines: it is read as such unless its beginning cannot be.
    """
    is_lines = not _NO_LINES.match(stream.peek(1)) if lines else _is_jsonl(stream)
    if is_lines:
        yield from read_jsonl(stream, options, offset=offset)
    else:
        yield from _Reader(stream, options, offset).read()


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


class _Reader:
    """Turns values into records, and finds the records in values that are none."""

    def __init__(self, stream: ByteStream, options: ReadOptions, offset: int) -> None:
        self._stream = stream
        self._options = options
        self._unwanted = replace(options, tally=Tally())  # for records before `start_row`
        self._splitter = _Splitter(options.max_record_bytes, offset)
        self._row = 0
        self._good = b""  # the beginning of the last good record
        self._num_damages = 0  # that were reported
        self._sought: bytes | None = None  # behind a gap: the last bytes in which no record began

    def read(self) -> Iterator[RawRecord | BadRow]:
        """Yield the records behind `start_row`."""
        for record in self._read():
            if record.row >= self._options.start_row:
                yield record

    def _read(self) -> Iterator[RawRecord | BadRow]:
        splitter = self._splitter
        while chunk := self._stream.read(_CHUNK_BYTES):
            while (damage := self._next_damage(splitter.offset + len(chunk))) is not None:
                # Bytes behind a gap belong to another record than those before it.
                num_before = damage.offset - splitter.offset
                yield from self._records(self._feed(chunk[:num_before]))
                chunk = chunk[num_before:]
                yield from self._break(damage)
            yield from self._records(self._feed(chunk))
        num_before = self._num_damages
        for damage in self._stream.damages[num_before:]:
            yield from self._break(damage)
        if self._num_damages == num_before:
            yield from self._records(splitter.finish(), is_end=True)

    def _next_damage(self, end: int) -> Damage | None:
        damages = self._stream.damages
        if self._num_damages < len(damages) and damages[self._num_damages].offset < end:
            return damages[self._num_damages]
        return None

    def _break(self, damage: Damage) -> Iterator[RawRecord | BadRow]:
        """Report a gap; reading goes on where the next record begins."""
        self._num_damages += 1
        value = None
        if damage.is_gap:
            value = self._splitter.take_open()
            if value is not None and len(self._pieces(value.data)) > 1:
                yield from self._cut(value, is_last=False)
                value = self._splitter.take_open()
            self._sought = b"}"  # a record may begin right behind the gap
        offset, fragment = (value.offset, value.data) if value else (None, b"")
        bad = bad_of(damage, row=self._row, byte_offset=offset, fragment=fragment)
        yield self._count(bad)

    def _feed(self, chunk: bytes) -> Iterator[Value]:
        if self._sought is None:
            return self._splitter.feed(chunk)
        data = self._sought + chunk
        found = self._borders(b"").search(data)
        if found is None:
            self._sought = data[-_BORDER_BYTES:]
            self._splitter.offset += len(chunk)
            return iter(())
        self._splitter.go_to(self._splitter.offset - len(self._sought) + found.end())
        self._sought = None
        return self._splitter.feed(data[found.end() :])

    def _records(
        self, values: Iterator[Value], *, is_end: bool = False
    ) -> Iterator[RawRecord | BadRow]:
        limit = self._options.max_record_bytes
        for value in values:
            if value.complete and value.num_bytes <= limit:
                record = self._parse(value.data, value.offset)
                if isinstance(record, BadRow) and record.reason == "broken_json":
                    yield from self._cut(value, is_last=False)
                elif isinstance(record, BadRow) and _LIST_OF_OBJECTS.match(value.data):
                    inner = value.data[1:].rstrip(_SPACE + b"]")
                    yield from self._cut(
                        value._replace(data=inner, offset=value.offset + 1), is_last=True
                    )
                else:
                    yield self._count(record)
            elif is_end:
                yield from self._end(value)
            elif len(value.data) > limit and len(self._pieces(value.data)) > 1:
                yield from self._cut(value, is_last=False)
            elif value.complete:
                yield self._count(
                    too_long(
                        value.num_bytes,
                        value.data,
                        row=self._row,
                        byte_offset=value.offset,
                        options=self._options,
                    )
                )
            else:
                self._splitter.skip(value)

    def _end(self, value: Value) -> Iterator[RawRecord | BadRow]:
        """Yield what the last value holds; the file ended inside it, or its quotes and brackets are wrong."""
        last = None
        for last in self._cut(value, is_last=True) if value.data else ():
            yield last
        if not self._splitter.is_ended and (last is None or isinstance(last, RawRecord)):
            yield self._count(self._truncated(b"", value.offset))

    def _cut(self, value: Value, *, is_last: bool) -> Iterator[RawRecord | BadRow]:
        """Yield the records of a value that is broken or did not end."""
        pieces = self._pieces(value.data)
        index = 0
        while index < len(pieces):
            start = pieces[index][0]
            joined = range(index + 1, min(index + _MAX_JOINED, len(pieces)) + 1)
            ends = ((end, value.data[start : pieces[end - 1][1]]) for end in joined)
            for end, data in ends:
                is_at_end = is_last and end == len(pieces)
                whole = data.rstrip(_SPACE + b",]") if is_at_end else data
                record = self._parse(whole, value.offset + start)
                if isinstance(record, RawRecord) or record.reason != "broken_json":
                    yield self._count(record)
                    index = end
                    break
            else:
                if index == len(pieces) - 1:
                    yield from self._tail(value, start, is_last=is_last)
                else:
                    data = value.data[start : pieces[index][1]]
                    yield self._count(self._parse(data, value.offset + start))
                index += 1

    def _tail(self, value: Value, start: int, *, is_last: bool) -> Iterator[RawRecord | BadRow]:
        """Handle the last piece of a value: broken, or the beginning of a record that goes on."""
        data, offset = value.data[start:], value.offset + start
        if is_last:
            is_cut = value.complete is False and data.rstrip(_SPACE)[-1:] not in (b"]", b"}")
            bad = self._truncated(data, offset) if is_cut else self._parse(data, offset)
            yield self._count(bad)
        elif value.complete and not self._splitter.goes_on(data):
            yield self._count(self._parse(data, offset))
        else:
            yield from self._records(self._splitter.replay(data, offset))

    def _pieces(self, data: bytes) -> list[tuple[int, int]]:
        """Return start and end of what look like records in a value."""
        borders = list(self._borders(data).finditer(data)) or list(_ANY_BORDER.finditer(data))
        starts = [0, *(border.end() for border in borders)]
        ends = [*(border.start() + 1 for border in borders), len(data)]
        return list(zip(starts, ends, strict=True))

    def _borders(self, data: bytes) -> re.Pattern[bytes]:
        """Return the pattern of a border: an object that begins with the same field follows another."""
        name = _FIRST_NAME.match(self._good) or _FIRST_NAME.match(data)
        if name is None:
            return _ANY_BORDER
        return re.compile(rb'\}\s*,?\s*(?=\{\s*"' + re.escape(name.group(1)) + rb'"\s*:)')

    def _parse(self, data: bytes, offset: int) -> RawRecord | BadRow:
        is_wanted = self._row >= self._options.start_row
        options = self._options if is_wanted else self._unwanted
        record = parse_record(data, row=self._row, byte_offset=offset, options=options)
        if isinstance(record, RawRecord):
            self._good = data[:_BORDER_BYTES]
        return record

    def _truncated(self, data: bytes, offset: int) -> BadRow:
        detail = "the file ends inside a record or before the end of its array"
        position = offset if data else None
        return BadRow(self._row, position, "truncated_file", detail, excerpt(data), lost_bytes=None)

    def _count(self, record: RawRecord | BadRow) -> RawRecord | BadRow:
        self._row += 1
        return record


class _Splitter:
    """Brackets and quotes seen so far, and the value being collected.

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
        self._last_byte = chunk.rstrip(_SPACE)[-1:] or self._last_byte
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
        probe = _Splitter(len(data) + 1, 0)
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
        first = chunk.lstrip(_SPACE)[:1]
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
            stripped = piece.lstrip(_SPACE + b",").removeprefix(BOM).lstrip(_SPACE)
            position += len(piece) - len(stripped)
            piece = stripped
            self._start = position
        self._num_bytes += len(piece)
        if not self._is_skipping:
            self._data += piece

    def _end_value(self) -> Iterator[Value]:
        data = bytes(self._data).rstrip(_SPACE)
        num_bytes = self._num_bytes if self._is_skipping else len(data)
        start, is_bracket = self._start, self._is_bracket
        self._begin_value()
        if data and not is_bracket:
            yield Value(data, start, num_bytes, complete=True)


def _is_jsonl(stream: ByteStream) -> bool:
    """Tell whether the first line is an object by itself; a pretty-printed file's first line is not."""
    line, newline, _ = stream.peek(1).partition(b"\n")
    if not newline or not line.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(parse_json(line), dict)
    except (ValueError, RecursionError):
        return False
