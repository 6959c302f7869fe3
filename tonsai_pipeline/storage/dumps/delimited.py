"""CSV and TSV with a header line -> records.

text,url⏎"a, b",http://... ──read_delimited──▶ RawRecord | BadRow
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from tonsai_pipeline.storage.dumps.lines import Line, iter_lines
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    excerpt,
    invalid_utf8,
    to_record,
    too_long,
)
from tonsai_pipeline.storage.dumps.streams import ByteStream, end_of


def read_delimited(
    stream: ByteStream, options: ReadOptions, *, delimiter: str, offset: int = 0
) -> Iterator[RawRecord | BadRow]:
    """Read comma or tab separated values: RFC 4180 quoting, the first record names the columns."""
    # The limit is one number for the whole process; ours is the record's, checked line by line below.
    csv.field_size_limit(max(csv.field_size_limit(), options.max_record_bytes))
    lines = _RecordLines(stream, options, offset)
    reader = csv.reader(lines, delimiter=delimiter)
    header: list[str] | None = None
    row = 0
    while True:
        lines.begin_record()
        try:
            values = next(reader, None)
        except csv.Error as error:
            found = lines.bad("broken_csv", str(error), row)
        except _TooLongError:
            found = too_long(
                lines.num_bytes,
                lines.start_bytes,
                row=row,
                byte_offset=lines.start,
                options=options,
            )
        else:
            if values is None or (lines.is_torn and stream.damage is not None):
                break
            if lines.is_torn:
                yield lines.bad("broken_csv", "the file ends inside a quoted field", row)
                break
            if not values:
                continue
            if header is None:
                header = [
                    name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                    for name in values
                ]
                if (bad := _check_header(header, options, lines)) is not None:
                    yield bad
                    return
                continue
            found = (
                None if row < options.start_row else _to_record(values, header, lines, row, options)
            )
        if found is not None and row >= options.start_row:
            yield found
        row += 1
    yield from end_of(stream, row=row, byte_offset=lines.start, fragment=lines.start_bytes)


class _TooLongError(Exception):
    """A record grew beyond the limit, usually because a quote is never closed."""


class _RecordLines(Iterator[str]):
    """Feeds the CSV parser line by line and remembers where the current record began.

    A class and not a generator: raising must not end it.
    """

    def __init__(self, stream: ByteStream, options: ReadOptions, offset: int) -> None:
        self._lines = iter_lines(stream, options.max_record_bytes, offset=offset)
        self._max_bytes = options.max_record_bytes
        self._end = offset
        self.is_torn = False
        self.begin_record()

    def begin_record(self) -> None:
        """Call before each record."""
        self.start = self._end
        self.num_bytes = 0
        self.start_bytes = b""

    def __next__(self) -> str:
        line: Line | None = next(self._lines, None)
        if line is None:
            # The parser wants more than there is: it is inside quotes.
            self.is_torn = self.num_bytes > 0
            raise StopIteration
        self._end = line.end
        self.is_torn = line.torn
        if not self.num_bytes:
            self.start_bytes = line.data
        self.num_bytes += line.num_bytes + 1
        if line.too_long or self.num_bytes > self._max_bytes:
            raise _TooLongError
        # Bytes that are not UTF-8 pass through the parser as escapes and are found in their record.
        return line.data.decode("utf-8", "surrogateescape") + "\n"

    def bad(self, reason: str, detail: str, row: int) -> BadRow:
        """Return a bad row at the current record."""
        return BadRow(row, self.start, reason, detail, excerpt(self.start_bytes))


def _check_header(header: list[str], options: ReadOptions, lines: _RecordLines) -> BadRow | None:
    if options.text_column is None or options.text_column in header:
        return None
    detail = (
        f"no column '{options.text_column}' in the header: {', '.join(header)[:300]} "
        "(set the source's text_column; a file without a header line cannot be read)"
    )
    return lines.bad("missing_text_column", detail, 0)


def _to_record(
    values: list[str], header: list[str], lines: _RecordLines, row: int, options: ReadOptions
) -> RawRecord | BadRow:
    if len(values) != len(header):
        detail = f"{len(values)} fields, the header has {len(header)}"
        return lines.bad("broken_csv", detail, row)
    for value in values:
        data = value.encode("utf-8", "surrogateescape")
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return invalid_utf8(data, error, row=row, byte_offset=lines.start)
    fields = dict(zip(header, values, strict=True))
    return to_record(fields, row=row, byte_offset=lines.start, options=options)
