"""Parquet -> records, one row group at a time; a damaged row group costs only itself.

file.parquet ──read_parquet──▶ RawRecord | BadRow

Where a row group cannot be read whole, its text is read alone: damage in the columns beside it costs them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tonsai_pipeline.storage.dumps.compression.streams import open_raw
from tonsai_pipeline.storage.dumps.records import BadRow, RawRecord, ReadOptions
from tonsai_pipeline.storage.dumps.tables.arrow_rows import has_column, records_of

#: Rows turned into Python values at once.
_BATCH_ROWS = 512


def read_parquet(location: str, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read a Parquet file; row groups before `options.start_row` are not read at all.

    Raises:
        DumpError: The file cannot be opened.
    """
    with open_raw(location) as raw:
        num_bytes = raw.seek(0, 2)
        raw.seek(0)
        try:
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            schema = file.schema_arrow
        # A damaged index raises whatever its bytes happen to mean.
        except Exception as error:  # noqa: BLE001
            detail = (
                f"{_say(error)}; a Parquet file keeps its index at the end: copy the file again"
            )
            yield BadRow(0, None, "corrupt_file", detail, "", lost_bytes=num_bytes or None)
            return
        if not has_column(schema, options.text_column):
            names = ", ".join(schema.names)
            detail = f"no column '{options.text_column}'; columns: {names} (set the source's text_column)"
            num_rows = file.metadata.num_rows
            yield BadRow(0, None, "missing_text_column", detail, "", num_rows, num_bytes)
            return
        first_row = 0
        for group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if first_row + num_rows > options.start_row:
                yield from _read_group(file, group, first_row, options)
            first_row += num_rows


def _read_group(
    file: pq.ParquetFile, group: int, first_row: int, options: ReadOptions
) -> Iterator[RawRecord | BadRow]:
    """Yield the records of a row group, and what damage costs."""
    about = file.metadata.row_group(group)
    text_alone = [options.text_column.partition(".")[0]]
    row, end = first_row, first_row + about.num_rows
    for columns in (None, text_alone):
        error: Exception | None = None
        position = first_row
        for batch in _batches(file, group, columns):
            if isinstance(batch, Exception):
                error = batch
                break
            position += batch.num_rows
            if position <= row:
                continue
            new = batch.slice(batch.num_rows - (position - row))
            if columns is not None:
                names = (name for name in file.schema_arrow.names if name not in columns)
                options.tally.left_out.update(dict.fromkeys(names, new.num_rows))
            yield from records_of(new, row, options)
            row = position
        if error is None:
            return
    lost = end - row
    detail = f"row group {group}, {lost:,} rows: {_say(error)}"
    stored = sum(about.column(i).total_compressed_size for i in range(about.num_columns))
    lost_bytes = stored * lost // max(1, about.num_rows)
    yield BadRow(row, None, "corrupt_row_group", detail, "", lost, lost_bytes)


def _batches(
    file: pq.ParquetFile, group: int, columns: list[str] | None
) -> Iterator[pa.RecordBatch | Exception]:
    """Yield the batches of a row group, and the error that ends them."""
    try:
        yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns)
    except Exception as error:  # noqa: BLE001 (damaged pages raise whatever their bytes happen to mean)
        yield error


def _say(error: Exception | None) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
