"""`tonsai export`: packed shards -> Megatron files, a Hugging Face dataset, or the same shards at any URL."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, RecipeOption


class ExportFormat(StrEnum):
    """What the rows are written as."""

    MEGATRON = "megatron"
    ARROW = "arrow"
    SHARDS = "shards"


def export(
    output: Annotated[
        str,
        typer.Option(
            "--output", help="Folder; for `shards` a folder or any fsspec URL (s3://, gs://, ...)."
        ),
    ],
    export_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="`megatron` (.bin/.idx), `arrow` (datasets.load_from_disk), or `shards` as they are.",
        ),
    ] = ExportFormat.ARROW,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="train, val_khm, val_eng; may be repeated. All by default."),
    ] = None,
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Write a recipe's packed rows for another trainer, each split in a place of its own below the output.

    Rows keep the order of training and lose no token. A format other than `shards` leaves padding out.

    Example: `tonsai export --recipe my.yaml --format megatron --output exports/megatron`,
    `tonsai export --recipe my.yaml --format shards --output s3://bucket/my`
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace
    from tonsai_pipeline.errors import DataError
    from tonsai_pipeline.export.shards import export_arrow, export_megatron
    from tonsai_pipeline.storage.remote_rows import push_rows
    from tonsai_pipeline.storage.rows import INDEX_NAME
    from tonsai_pipeline.storage.shards import RowReader

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    shards = workspace.store(loaded).current("packed_shards").path
    found = sorted(path.parent.name for path in shards.glob(f"*/{INDEX_NAME}"))
    if unknown := set(split or found) - set(found):
        raise DataError(f"--split {min(unknown)}: {shards} has: {', '.join(found)}")
    for name in split or found:
        if export_format == ExportFormat.SHARDS:
            place = f"{output.rstrip('/')}/{name}"
            num_bytes = push_rows(shards / name, place)
            typer.echo(f"{place}: {num_bytes:,} bytes sent")
            continue
        if RowReader(shards / name).num_rows == 0:
            typer.echo(f"{name}: no rows, left out")
            continue
        write = export_megatron if export_format == ExportFormat.MEGATRON else export_arrow
        counts = write(shards / name, Path(output) / name)
        typer.echo(f"{Path(output) / name}: {counts.num_rows:,} rows, {counts.num_tokens:,} tokens")
