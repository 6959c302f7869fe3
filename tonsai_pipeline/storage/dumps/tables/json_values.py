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

from tonsai_pipeline.storage.dumps.compression.decoded import Damage
from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, bad_of
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    Tally,
    excerpt,
    too_long,
)
from tonsai_pipeline.storage.dumps.tables.json_splitter import SPACE, Splitter, Value
from tonsai_pipeline.storage.dumps.tables.jsonl import parse_json, parse_record, read_jsonl

_CHUNK_BYTES = 256 << 10
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
    splitter = Splitter(max_bytes, offset)
    while chunk := stream.read(_CHUNK_BYTES):
        yield from splitter.feed(chunk)
    yield from splitter.finish()


class _Reader:
    """Turns values into records, and finds the records in values that are none."""

    def __init__(self, stream: ByteStream, options: ReadOptions, offset: int) -> None:
        self._stream = stream
        self._options = options
        self._unwanted = replace(options, tally=Tally())  # for records before `start_row`
        self._splitter = Splitter(options.max_record_bytes, offset)
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
                    inner = value.data[1:].rstrip(SPACE + b"]")
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
                whole = data.rstrip(SPACE + b",]") if is_at_end else data
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
            is_cut = value.complete is False and data.rstrip(SPACE)[-1:] not in (b"]", b"}")
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


def _is_jsonl(stream: ByteStream) -> bool:
    """Tell whether the first line is an object by itself; a pretty-printed file's first line is not."""
    line, newline, _ = stream.peek(1).partition(b"\n")
    if not newline or not line.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(parse_json(line), dict)
    except (ValueError, RecursionError):
        return False
