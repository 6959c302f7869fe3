"""`tonsai peek`: rows of any table that the graph made, filtered, without opening the rest."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, RecipeOption
from tonsai_pipeline.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

_CONDITION = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>|~|\bis\s+not\s+null\b|\bis\s+null\b)\s*(.*)")
#: Characters of a value in the table; --json shows all.
_WIDTH = 80


def peek(
    asset: Annotated[str, typer.Argument(help="Asset, for example raw_documents.")],
    dump: Annotated[
        str | None, typer.Option("--dump", help="Dump key, for a partitioned table.")
    ] = None,
    folder: Annotated[
        str,
        typer.Option(
            "--folder", help="A table inside the asset: quarantine, rejected, dropped, ..."
        ),
    ] = ".",
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            "-w",
            help="COLUMN = != < <= > >= VALUE, COLUMN ~ REGEX, COLUMN is [not] null; repeat it for more.",
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", "-c", help="Comma-separated; all by default.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Rows to show.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, whole texts.")] = False,
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Look at rows of a table: documents, quarantine, keep-lists, scores.

    Only what the filter needs is read, so tables may be larger than memory.

    Examples: `tonsai peek raw_documents --dump khm_junk@20260901 --folder quarantine`,
    `tonsai peek scored_documents.dump --dump khm_web@20260901 -w "drop_reason is not null" -c doc_id,drop_reason`
    """
    import pyarrow as pa

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    parts = workspace.store(loaded).current(asset, dump).parts(folder)
    if not parts:
        raise DataError(
            f"{asset}: no table in '{folder}'; per-dump tables are named <asset>.<table>"
        )
    wanted = [name.strip() for name in columns.split(",")] if columns else None
    try:
        found = find_rows(parts, where or [], wanted, rows)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{asset}: {error}") from error
    _show(found, as_json=json)


def find_rows(
    parts: Sequence[Path], where: Sequence[str], columns: Sequence[str] | None, num_rows: int
) -> pa.Table:
    """Return the first rows of a table that meet every condition.

    Raises:
        ValueError: A condition or a column that the table does not have.
    """
    import pyarrow.dataset as ds

    table = ds.dataset([str(part) for part in parts], format="parquet")
    for name in columns or ():
        _field(table.schema, name)
    terms = [parse_condition(condition, table.schema) for condition in where]
    # One part at a time and little ahead: a table may be larger than memory.
    return table.scanner(
        columns=columns and list(columns),
        filter=functools.reduce(operator.and_, terms) if terms else None,
        fragment_readahead=1,
        batch_readahead=1,
    ).head(num_rows)


def parse_condition(condition: str, schema: pa.Schema) -> pc.Expression:
    """Make a filter of one condition; its value is read as the column's own type.

    Raises:
        ValueError: No such column, no such operator, or a value that the column cannot have.

    Example:
        >>> import pyarrow as pa
        >>> str(parse_condition("num_words >= 3", pa.schema({"num_words": pa.int32()})))
        '(num_words >= 3)'
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    matched = _CONDITION.fullmatch(condition)
    if matched is None:
        raise ValueError(
            f"--where {condition!r}: write COLUMN = VALUE (or != < <= > >=), COLUMN ~ REGEX, "
            "COLUMN is null or COLUMN is not null"
        )
    name, sign, value = matched[1], matched[2], matched[3].strip()
    kind, column = _field(schema, name).type, pc.field(name)
    if sign.endswith("null"):
        return column.is_valid() if "not" in sign.split() else column.is_null()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    if sign == "~":
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise ValueError(f"--where {condition!r}: ~ is for text, {name} is a {kind}")
        return pc.match_substring_regex(column, value)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        scalar = pa.scalar(value).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"--where {condition!r}: {name} is a {kind}: {error}") from error
    compare = {
        "=": operator.eq, "!=": operator.ne, "<": operator.lt,
        "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    }[sign]  # fmt: skip
    return compare(column, scalar)


def _field(schema: pa.Schema, name: str) -> pa.Field:
    if name not in schema.names:
        raise ValueError(f"no column {name!r}; there are {', '.join(schema.names)}")
    return schema.field(name)


def _show(found: pa.Table, *, as_json: bool) -> None:
    """Print rows as JSON lines with whole texts, or as a table with cut ones."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    if as_json:
        for row in found.to_pylist():
            typer.echo(orjson.dumps(row, default=str).decode())
        return
    table = Table(*found.column_names)
    for row in found.to_pylist():
        # As in JSON, so that a line break or an invisible character in a text does not break the table.
        cells = (orjson.dumps(value, default=str).decode().strip('"') for value in row.values())
        table.add_row(*(cell[:_WIDTH] + "..." * (len(cell) > _WIDTH) for cell in cells))
    # As wide as its rows: a pipe or a file has no width of its own.
    Console(width=max(160, 8 * _WIDTH), highlight=False, markup=False, soft_wrap=True).print(table)
