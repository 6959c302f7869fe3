"""JSON Lines -> records: one object a line; blank lines are no records.

{"text": "...", "url": "..."}⏎ ──read_jsonl──▶ RawRecord | BadRow
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from tonsai_pipeline.storage.dumps.lines import iter_lines
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


def read_jsonl(
    stream: ByteStream, options: ReadOptions, *, offset: int = 0
) -> Iterator[RawRecord | BadRow]:
    """Read JSON Lines; a line that cannot be read is a bad row and the next line goes on."""
    row = 0
    for line in iter_lines(stream, options.max_record_bytes, offset=offset):
        offset = line.end
        if line.torn:
            yield from end_of(stream, row=row, byte_offset=line.offset, fragment=line.data)
            return
        if not line.data.strip():
            continue
        if row >= options.start_row:
            if line.too_long:
                yield too_long(
                    line.num_bytes, line.data, row=row, byte_offset=line.offset, options=options
                )
            else:
                yield parse_record(line.data, row=row, byte_offset=line.offset, options=options)
        row += 1
    yield from end_of(stream, row=row, byte_offset=offset)


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
