"""`tonsai peek`: rows of any table that the graph made, filtered, without opening the rest."""

from __future__ import annotations

from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, RecipeOption


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
        str | None,
        typer.Option("--where", "-w", help="SQL condition, for example \"lang = 'khm'\"."),
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
    import polars as pl

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace
    from tonsai_pipeline.errors import DataError

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    parts = workspace.store(loaded).current(asset, dump).parts(folder)
    if not parts:
        raise DataError(
            f"{asset}: no table in '{folder}'; per-dump tables are named <asset>.<table>"
        )
    try:
        table = pl.scan_parquet(parts)
        if where is not None:
            table = table.filter(pl.sql_expr(where))
        if columns is not None:
            table = table.select([name.strip() for name in columns.split(",")])
        found = table.head(rows).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{asset}: {error}") from error
    if json:
        typer.echo(found.write_ndjson(), nl=False)
        return
    with pl.Config(tbl_rows=rows, tbl_cols=-1, fmt_str_lengths=80, tbl_width_chars=160):
        typer.echo(found)
