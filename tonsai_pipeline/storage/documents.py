"""Document parts: Arrow batches <-> Parquet files with bounded row groups.

A table is a folder of parts `part-<file>-<chunk>.parquet`. A part holds about `part_bytes` of text and is
the unit of parallel work and of resume; a row group holds about 8 MB and bounds a reader's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.files import atomic_path

#: Reading ahead is for stores that answer slowly; on a disk it doubles what reading a row group costs.
_READ = {"pre_buffer": False}
#: Arrow's size of a page; what is decompressed at a time where only some rows are wanted.
_PAGE_BYTES = 1 << 20
#: Text bytes per row group. Ours: a reader holds one row group at a time, so this bounds its memory.
ROW_GROUP_BYTES = 8 << 20


def part_name(file_index: int, chunk: int) -> str:
    """Return the file name of a part: which raw file it came from and which stretch of it."""
    return f"part-{file_index:05d}-{chunk:05d}.parquet"


def write_part(path: Path, batches: Iterable[pa.RecordBatch | pa.Table], schema: pa.Schema) -> int:
    """Write batches as one part, atomically; each batch is one row group.

    Returns:
        Number of rows written.
    """
    num_rows = 0
    # Statistics of long texts are copies of them in the footer; no reader here uses them.
    options = {"compression": "zstd", "write_statistics": False, "use_dictionary": False}
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for batch in batches:
            table = pa.table(batch) if isinstance(batch, pa.RecordBatch) else batch
            rows = table.select(schema.names).cast(schema)
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))
            num_rows += rows.num_rows
    return num_rows


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a part one row group at a time.

    Raises:
        DataError: The file is not a readable Parquet part; the message names it.
    """
    try:
        with pq.ParquetFile(path, **_READ) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns).combine_chunks()
                yield from table.to_batches()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: not a readable part: {error}; run the stage that made it"
        ) from error


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole part."""
    batches = list(read_batches(path, columns))
    if batches:
        return pa.Table.from_batches(batches)
    schema = pq.read_schema(path)
    return (
        schema if columns is None else pa.schema([schema.field(c) for c in columns])
    ).empty_table()


def take_batches(
    path: Path, rows: np.ndarray, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read some rows of a part; what lies behind the last of them in a row group is not decompressed.

    Args:
        path: The part.
        rows: Rows in the part, ascending.
        columns: Columns to read; None for all.

    Yields:
        The rows in order, at most one batch a row group.

    Raises:
        DataError: The file is not a readable part, or has fewer rows.
    """
    try:
        with pq.ParquetFile(path, **_READ) as file:
            sizes = [
                file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)
            ]
            starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            if len(rows) and rows[-1] >= starts[-1]:
                raise DataError(f"{path}: row {rows[-1]} is past its {starts[-1]} rows")
            group_of = np.searchsorted(starts, rows, side="right") - 1
            for group in np.unique(group_of):
                local = rows[group_of == group] - starts[group]
                yield from _take(file, int(group), local, columns).combine_chunks().to_batches()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: not a readable part: {error}; run the stage that made it"
        ) from error


def _take(
    file: pq.ParquetFile, group: int, rows: np.ndarray, columns: Sequence[str] | None
) -> pa.Table:
    """Read some rows of a row group, ascending and at least one, from its first row to the last of them."""
    metadata = file.metadata.row_group(group)
    chunks = [metadata.column(index) for index in range(metadata.num_columns)]
    num_bytes = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if columns is None or chunk.path_in_schema.split(".")[0] in columns
    )
    rows_per_batch = 1 + metadata.num_rows * _PAGE_BYTES // max(1, num_bytes)
    taken, start = [], 0
    for batch in file.iter_batches(rows_per_batch, row_groups=[group], columns=columns):
        stop = start + batch.num_rows
        first, last = np.searchsorted(rows, [start, stop])
        if last > first:
            taken.append(batch.take(pa.array(rows[first:last] - start)))
        if last == len(rows):
            break
        start = stop
    return pa.Table.from_batches(taken)


def count_rows(path: Path) -> int:
    """Return the number of rows of a part without reading it."""
    return pq.read_metadata(path).num_rows


def is_converted(meta: str | None) -> bool:
    """Tell by a document's `meta` whether text of it was converted from a legacy font (`stages/normalize/legacy.py`)."""
    if meta is None or '"legacy":' not in meta:
        return False
    found = orjson.loads(meta).get("legacy")
    return isinstance(found, dict) and "families" in found
