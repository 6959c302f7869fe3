r"""CSV and TSV with a header line -> records.

    text,url⏎"a, b",http://...   ──read_delimited──▶ RawRecord | BadRow

A quote that is never closed takes the lines after it into its field. Such a record is given up at its first
line, and reading goes on with the second:

    1,good⏎ 2,"never closed⏎ 3,x⏎ 4,"y"⏎           the parser's record 2 runs to the quote of line 4, where text
    └─────┘ └─── bad row ──┘ └────────────▶        follows the closing quote: line 2 is bad, 3 and 4 are read

Source: RFC 4180 (2005), section 2. Unlike it, quotes inside a field that does not begin with one are text, as
every reader has it that people use.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from tonsai_pipeline.storage.dumps.compression.streams import ByteStream
from tonsai_pipeline.storage.dumps.lines import BOM, Line, iter_lines
from tonsai_pipeline.storage.dumps.records import (
    LEFT_OUT,
    BadRow,
    Dialect,
    RawRecord,
    ReadOptions,
    excerpt,
    invalid_utf8,
    to_record,
    too_long,
)

#: What may stand between fields, where a header without the text column is looked at for advice.
_DELIMITERS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a bar"}


def read_delimited(
    stream: ByteStream, options: ReadOptions, *, habit: Dialect, offset: int = 0
) -> Iterator[RawRecord | BadRow]:
    """Read comma or tab separated values; the first record names the columns.

    Args:
        stream: Where to read on.
        options: Its dialect says how fields are told apart.
        habit: The dialect of the format, for what `options` leaves open.
        offset: Bytes already read from the stream.
    """
    asked = options.dialect
    dialect = Dialect(
        asked.delimiter or habit.delimiter, asked.quoting or habit.quoting, asked.escape
    )
    lines = _RecordLines(stream, options, offset)
    records = _records(lines, _parser(lines, dialect, options.max_record_bytes))
    header: list[str] | None = None
    row = 0
    for values in records:
        if isinstance(values, BadRow):
            found = values._replace(row=row)
        elif header is None:
            header = lines.header = values
            if options.text_column and options.text_column not in header:
                bad = _missing_column(header, options.text_column, dialect, lines)
                num_rows = max(1, sum(1 for _ in records))
                yield bad._replace(num_rows=num_rows, lost_bytes=stream.num_stored)
                return
            continue
        elif row < options.start_row:
            found = None
        elif values == header:
            options.tally.skip("repeated_header")
            found = None
        else:
            found = _to_record(values, header, lines, row, options)
        if found is not None and row >= options.start_row:
            yield found
        row += 1


def _parser(lines: _RecordLines, dialect: Dialect, max_bytes: int) -> Iterator[list[str]]:
    delimiter = dialect.delimiter or ","
    if dialect.quoting == "none" and dialect.escape is None:
        # Nothing but the delimiter means anything, not even a lone U+000D.
        return (line.rstrip("\n").split(delimiter) for line in lines)
    # The limit is one number for the whole process; ours is the record's, checked line by line.
    csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
    return csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if dialect.quoting == "none" else csv.QUOTE_MINIMAL,
        escapechar=dialect.escape,
        strict=True,
    )


def _records(lines: _RecordLines, parser: Iterator[list[str]]) -> Iterator[list[str] | BadRow]:
    """Yield the fields of each record, or the bad row in its place; blank lines are no records."""
    while True:
        lines.begin_record()
        try:
            values = next(parser, None)
        except csv.Error as error:
            message = str(error)
            if "unexpected end of data" in message:
                message = "a quote is opened and never closed"
            yield lines.give_up(message)
        except _TooLongError:
            yield lines.give_up("a quote is opened and not closed within max_document_bytes")
        except _LineError as error:
            yield from error.bad_rows
        else:
            if values is None:
                return
            num_fields = len(lines.header or values)
            if values and values != [""] and len(values) != num_fields:
                yield lines.give_up(f"{len(values)} fields, the header has {num_fields}")
            elif values and (values != [""] or num_fields == 1):
                yield values


class _TooLongError(Exception):
    """A record of several lines grew beyond the limit."""


class _LineError(Exception):
    """A line that is no whole line: torn by a gap in the file, or too long by itself."""

    def __init__(self, bad_rows: list[BadRow]) -> None:
        super().__init__()
        self.bad_rows = bad_rows


class _RecordLines(Iterator[str]):
    """Feeds a parser line by line, and takes lines back.

    A class and not a generator: raising must not end it.

    Attributes:
        header: Names of the columns, once they are known.
        start: Where the current record begins.
        has_bad_bytes: The current record holds bytes that are not UTF-8; they come as lone surrogates.
    """

    def __init__(self, stream: ByteStream, options: ReadOptions, offset: int) -> None:
        self.header: list[str] | None = None
        self._options = options
        self._lines = iter_lines(stream, options.max_record_bytes, offset=offset)
        self._returned: deque[Line] = deque()
        self._end = offset
        self.begin_record()

    def begin_record(self) -> None:
        """Call before each record."""
        self.start = self._returned[0].offset if self._returned else self._end
        self.has_bad_bytes = False
        self._taken: list[Line] = []
        self._num_bytes = 0

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        while line.after_gap:
            line = next(self._lines)  # it lacks its beginning, and the gap was reported
        self._end = line.end
        if line.damages or line.too_long:
            if self._taken:
                # What was taken so far is a record of its own, and broken: this line comes again.
                self._returned.appendleft(line)
                raise _TooLongError
            raise _LineError(self._bad_rows(line))
        self._taken.append(line)
        self._num_bytes += line.num_bytes + 1
        if self._num_bytes > self._options.max_record_bytes and len(self._taken) > 1:
            raise _TooLongError
        data = line.data if len(self._taken) > 1 else line.data.removeprefix(BOM)
        try:
            return data.decode() + "\n"
        except UnicodeDecodeError:
            # They pass through the parser as escapes and are found in their field.
            self.has_bad_bytes = True
            return data.decode("utf-8", "surrogateescape") + "\n"

    def give_up(self, detail: str) -> BadRow:
        """Return the bad row for the current record's first line; the others are read again."""
        first, *others = self._taken
        self._returned.extendleft(reversed(others))
        if others:
            detail = f"{detail} (from here on; given up after {len(others):,} more lines)"
        bad = BadRow(0, first.offset, "broken_csv", detail, excerpt(first.data))
        if first.ended:
            return bad
        detail = f"the file ends inside a record: {detail}"
        return bad._replace(reason="truncated_file", detail=detail, lost_bytes=None)

    def bad(self, reason: str, detail: str) -> BadRow:
        """Return a bad row for the whole current record."""
        return BadRow(0, self.start, reason, detail, excerpt(self._taken[0].data))

    def _bad_rows(self, line: Line) -> list[BadRow]:
        if line.damages:
            return line.bad_rows(0)
        length, options = line.num_bytes, self._options
        return [too_long(length, line.data, row=0, byte_offset=line.offset, options=options)]


def _missing_column(
    header: list[str], text_column: str, dialect: Dialect, lines: _RecordLines
) -> BadRow:
    names = ", ".join(header)[:300].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    advice = "set the source's text_column; a file without a header line cannot be read"
    for delimiter, name in _DELIMITERS.items():
        if delimiter != dialect.delimiter and text_column in names.split(delimiter):
            advice = f"its fields seem to stand between {name}: set the source's delimiter"
    detail = f"no column '{text_column}' in the header: {names} ({advice})"
    return lines.bad("missing_text_column", detail)


def _to_record(
    values: list[str], header: list[str], lines: _RecordLines, row: int, options: ReadOptions
) -> RawRecord | BadRow:
    fields: dict[str, object] = {}
    for name, value in zip(header, values, strict=True):
        if name in fields:
            # Of two columns of one name the first counts.
            options.tally.left_out[name] += 1
            continue
        fields[name] = value
        if lines.has_bad_bytes:
            data = value.encode("utf-8", "surrogateescape")
            try:
                fields[name] = data.decode()
            except UnicodeDecodeError as error:
                if name == options.text_column:
                    return invalid_utf8(data, error, row=row, byte_offset=lines.start)
                fields[name] = LEFT_OUT
    return to_record(fields, row=row, byte_offset=lines.start, options=options)
