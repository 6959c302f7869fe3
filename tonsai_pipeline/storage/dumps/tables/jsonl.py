"""JSON Lines -> records: one object a line; blank lines are no records.

{"text": "...", "url": "..."}⏎ ──read_jsonl──▶ RawRecord | BadRow
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from tonsai_pipeline.storage.dumps.compression.streams import ByteStream
from tonsai_pipeline.storage.dumps.lines import BOM, iter_lines
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    excerpt,
    invalid_utf8,
    to_record,
    too_long,
)


def read_jsonl(
    stream: ByteStream, options: ReadOptions, *, offset: int = 0
) -> Iterator[RawRecord | BadRow]:
    """Read JSON Lines; a line that cannot be read is a bad row and the next line goes on.

    Objects that share a line, as files joined without a line break between them have it, are records each.
    """
    row = 0
    for line in iter_lines(stream, options.max_record_bytes, offset=offset):
        data = line.data.removeprefix(BOM)
        if line.damages:
            yield from (bad for bad in line.bad_rows(row) if bad.row >= options.start_row)
            row += len(line.damages)
        elif line.after_gap and (line.too_long or not _is_object(data)):
            continue  # it lacks its beginning, and the gap was reported
        elif line.too_long:
            if row >= options.start_row:
                yield too_long(
                    line.num_bytes, line.data, row=row, byte_offset=line.offset, options=options
                )
            row += 1
        elif data.strip():
            if row >= options.start_row:
                record = parse_record(data, row=row, byte_offset=line.offset, options=options)
                # Nearly every line is one record: only one that is none is looked at for several.
                if isinstance(record, RawRecord) or not _SEVERAL.search(data):
                    yield record if line.ended else _cut(record)
                    row += 1
                    continue
            for piece in _split_line(data):
                if row >= options.start_row:
                    record = parse_record(piece, row=row, byte_offset=line.offset, options=options)
                    yield record if line.ended else _cut(record)
                row += 1


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(orjson.loads(data), dict)
    except orjson.JSONDecodeError:
        return False


def _split_line(data: bytes) -> list[bytes]:
    """Cut a line at its objects if it is nothing but objects in a row."""
    if not _SEVERAL.search(data):
        return [data]
    pieces, position = [], 0
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    else:
        return [data]
    try:
        text = data.decode()
        while position < len(text):
            value, end = _DECODER.raw_decode(text, position)
            if not isinstance(value, dict):
                return [data]
            pieces.append(text[position:end].encode())
            position = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\ufeff"))
    except (ValueError, RecursionError):
        return [data]
    return pieces


_SEVERAL = re.compile(rb"\}[ \t\r\xef\xbb\xbf]*\{")
_DECODER = json.JSONDecoder()


def _cut(record: RawRecord | BadRow) -> RawRecord | BadRow:
    """Say of a broken last line without a line end that the file was cut inside it."""
    if isinstance(record, BadRow) and record.reason in ("broken_json", "invalid_utf8"):
        detail = f"the file ends inside a record: {record.detail}"
        return record._replace(reason="truncated_file", detail=detail, lost_bytes=None)
    return record


def parse_record(
    data: bytes, *, row: int, byte_offset: int, options: ReadOptions
) -> RawRecord | BadRow:
    """Read the bytes of one JSON object as a record."""
    try:
        fields = parse_json(data)
    except UnicodeDecodeError as error:
        return invalid_utf8(data, error, row=row, byte_offset=byte_offset)
    except (ValueError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return BadRow(row, byte_offset, "broken_json", detail, excerpt(data))
    if not isinstance(fields, dict):
        detail = f"found {type(fields).__name__}, a record is an object with fields"
        return BadRow(row, byte_offset, "not_an_object", detail, excerpt(data))
    return to_record(fields, row=row, byte_offset=byte_offset, options=options)


def parse_json(data: bytes) -> Any:
    """Parse JSON fast, and once more leniently where needed.

    Python writes NaN, integers of any size and lone surrogates as JSON; orjson rejects them, and a row is
    not lost for the sake of a field beside its text.

    Raises:
        UnicodeDecodeError: The bytes are not UTF-8.
        ValueError: They are not JSON.
        RecursionError: They are nested too deeply.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data.decode())
