"""Arrow columns -> records; what cannot become a Python or JSON value costs its field and never its row.

    columns ──records_of──▶ RawRecord | BadRow      a bad row only where the text itself is bad

Arrow holds more than Python: dates after the year 9999, strings that are not UTF-8 deep inside lists, two
columns of one name. Columns are therefore turned one by one, and value by value where that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.storage.dumps.records import (
    LEFT_OUT,
    BadRow,
    RawRecord,
    ReadOptions,
    invalid_utf8,
    to_record,
)

_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BINARIES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


def records_of(
    batch: pa.RecordBatch | pa.Table, first_row: int, options: ReadOptions
) -> Iterator[RawRecord | BadRow]:
    """Turn Arrow rows into records; `first_row` is the index of the first in its file.

    Text may be a string or bytes of UTF-8. Of two columns of one name the first counts.
    """
    skipped = max(0, options.start_row - first_row)
    rows = batch.slice(skipped)
    names: list[str] = []
    columns: list[Sequence[Any]] = []
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if name in names:
            options.tally.left_out[name] += rows.num_rows
        else:
            names.append(name)
            is_text = name == options.text_column
            columns.append(_texts(column) if is_text else _values(column))
    if options.text_column not in names and "." in options.text_column:
        names.append(options.text_column)
        columns.append(_inner_texts(rows, options.text_column))
    place = names.index(options.text_column) if options.text_column in names else -1
    for index, values in enumerate(zip(*columns, strict=True)):
        row = first_row + skipped + index
        fields = dict(zip(names, values, strict=True))
        if place >= 0 and isinstance(text := values[place], bytes):
            try:
                fields[options.text_column] = text.decode()
            except UnicodeDecodeError as error:
                yield invalid_utf8(text, error, row=row, byte_offset=None)
                continue
        yield to_record(fields, row=row, byte_offset=None, options=options)


def has_column(schema: pa.Schema, text_column: str) -> bool:
    """Tell whether a table has the column, or one that the path begins in; "" asks for none."""
    return (
        not text_column
        or text_column in schema.names
        or text_column.partition(".")[0] in schema.names
    )


def _inner_texts(rows: pa.RecordBatch | pa.Table, path: str) -> Sequence[Any]:
    """Return the values that a path such as `doc.body` leads to."""
    head, *steps = path.split(".")
    column = rows.column(rows.schema.names.index(head))
    try:
        for step in steps:
            column = pc.struct_field(column, step)  # pyright: ignore[reportAttributeAccessIssue]
    except (pa.ArrowException, TypeError):
        # No struct, or without such a field: `to_record` looks into the values and names what is there.
        return [LEFT_OUT] * rows.num_rows
    return _texts(column)


def _texts(column: pa.Array | pa.ChunkedArray) -> Sequence[Any]:
    """Return texts as bytes, so that one that is not UTF-8 does not stop the others."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if any(test(column.type) for test in (*_STRINGS, *_BINARIES)):
        return pc.cast(column, pa.large_binary()).to_pylist()
    return _values(column)


def _values(column: pa.Array | pa.ChunkedArray) -> Sequence[Any]:
    """Return the values of a column; `LEFT_OUT` for those that Python cannot hold."""
    try:
        return column.to_pylist()
    # Which error it is depends on the type: OverflowError, UnicodeDecodeError, ArrowInvalid, ...
    except Exception:  # noqa: BLE001
        return [_value(column, index) for index in range(len(column))]


def _value(column: pa.Array | pa.ChunkedArray, index: int) -> Any:
    try:
        return column[index].as_py()
    except Exception:  # noqa: BLE001 (as above)
        return LEFT_OUT
