"""Parquet -> records, one row group at a time; a damaged row group costs only itself.

file.parquet ──read_parquet──▶ RawRecord | BadRow
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    excerpt,
    invalid_utf8,
    to_record,
)
from tonsai_pipeline.storage.dumps.streams import open_raw

#: Rows turned into Python values at once.
_BATCH_ROWS = 512


def read_parquet(location: str, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read a Parquet file; row groups before `options.start_row` are not read at all.

    Raises:
        DumpError: The file cannot be opened.
    """
    with open_raw(location) as raw:
        try:
            file = pq.ParquetFile(raw)
        except (pa.ArrowException, OSError) as error:
            detail = f"{error}; a Parquet file keeps its index at the end: copy the file again"
            yield BadRow(0, None, "corrupt_file", detail, "")
            return
        if (bad := _check_column(file, options)) is not None:
            yield bad
            return
        first_row = 0
        for group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if first_row + num_rows > options.start_row:
                yield from _read_group(file, group, first_row, options)
            first_row += num_rows


def records_of(
    batch: pa.RecordBatch | pa.Table, first_row: int, options: ReadOptions
) -> Iterator[RawRecord | BadRow]:
    """Turn Arrow rows into records; `first_row` is the index of the first in its file."""
    table = pa.table(batch) if isinstance(batch, pa.RecordBatch) else batch
    table = pa.table(
        [_strings_as_bytes(column) for column in table.columns], names=table.column_names
    )
    for index, fields in enumerate(table.to_pylist()):
        row = first_row + index
        if row >= options.start_row:
            yield _row_record(fields, table.schema, row, options)


def _read_group(
    file: pq.ParquetFile, group: int, first_row: int, options: ReadOptions
) -> Iterator[RawRecord | BadRow]:
    row = first_row
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
            yield from records_of(batch, row, options)
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        lost = first_row + file.metadata.row_group(group).num_rows - row
        detail = f"row group {group}, {lost:,} rows: {error}"
        yield BadRow(row, None, "corrupt_row_group", detail, "", lost)


def _check_column(file: pq.ParquetFile, options: ReadOptions) -> BadRow | None:
    names = file.schema_arrow.names
    if options.text_column is None:
        return None
    if options.text_column in names or options.text_column.partition(".")[0] in names:
        return None
    detail = f"no column '{options.text_column}'; columns: {', '.join(names)} (set the source's text_column)"
    return BadRow(0, None, "missing_text_column", detail, "", file.metadata.num_rows)


_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def _strings_as_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read strings as bytes: Parquet does not promise UTF-8, and one bad row must not stop a batch."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    return (
        pc.cast(column, pa.large_binary())
        if any(test(column.type) for test in _STRINGS)
        else column
    )


def _row_record(
    fields: dict[str, Any], schema: pa.Schema, row: int, options: ReadOptions
) -> RawRecord | BadRow:
    for name, value in fields.items():
        if not isinstance(value, bytes) or not pa.types.is_large_binary(schema.field(name).type):
            continue
        try:
            fields[name] = value.decode()
        except UnicodeDecodeError as error:
            if name == options.text_column:
                return invalid_utf8(value, error, row=row, byte_offset=None)
            fields[name] = excerpt(value)
    return to_record(fields, row=row, byte_offset=None, options=options)
