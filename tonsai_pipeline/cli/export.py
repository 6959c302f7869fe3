"""`tonsai export`: packed shards for other trainers, or a trained model for other engines."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, ModelFolderOption, RecipeOption


class ExportFormat(StrEnum):
    """What is written: packed rows (the first three), or the model."""

    MEGATRON = "megatron"
    ARROW = "arrow"
    SHARDS = "shards"
    GGUF = "gguf"
    CTRANSLATE2 = "ctranslate2"


class Precision(StrEnum):
    """How the matrices of a model are kept."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


def export(
    output: Annotated[
        str,
        typer.Option(
            "--output",
            help="Folder; for `gguf` a file; for `shards` a folder or any fsspec URL (s3://, gs://, ...).",
        ),
    ],
    export_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="Packed rows: `megatron` (.bin/.idx), `arrow` (datasets.load_from_disk), `shards` as they are. "
            "The model: `gguf` (llama.cpp, Ollama, LM Studio), `ctranslate2`.",
        ),
    ] = ExportFormat.ARROW,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="train, val_khm, val_eng; may be repeated. All by default."),
    ] = None,
    model: ModelFolderOption = None,
    dtype: Annotated[
        Precision, typer.Option("--dtype", help="Precision of a model's matrices; q8_0 is 8 bits.")
    ] = Precision.F16,
    check_texts: Annotated[
        Path | None,
        typer.Option(
            "--check-texts", help="For `gguf`: a text a line, whose ids must be the tokenizer's."
        ),
    ] = None,
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Write a recipe's packed rows for another trainer, or its model for another engine.

    Rows keep the order of training and lose no token, each split in a place of its own below the output; a format
    other than `shards` leaves padding out. A GGUF file is named only after its vocabulary gave the tokenizer's ids.

    Example: `tonsai export --recipe my.yaml --format megatron --output exports/megatron`,
    `tonsai export --recipe my.yaml --format shards --output s3://bucket/my`,
    `tonsai export --recipe my.yaml --format gguf --dtype q8_0 --output my-q8_0.gguf`
    """
    if export_format in (ExportFormat.GGUF, ExportFormat.CTRANSLATE2):
        from tonsai_pipeline.cli.base_model import model_of

        folder = model or model_of(recipe, home, "pretrained_model")
        _export_model(folder, Path(output), export_format, dtype, check_texts)
    else:
        _export_rows(_current(recipe, home, "packed_shards"), output, export_format, split)


def _current(recipe: str, home: Path | None, asset: str) -> Path:
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    return workspace.store(loaded).current(asset).path


def _export_model(
    folder: Path,
    output: Path,
    export_format: ExportFormat,
    dtype: Precision,
    check_texts: Path | None,
) -> None:
    if export_format == ExportFormat.CTRANSLATE2:
        from tonsai_pipeline.publish.ctranslate2_folder import export_ctranslate2

        export_ctranslate2(folder, output, dtype=dtype.value)
        typer.echo(f"{output}: loads in CTranslate2")
        return
    from tonsai_pipeline.publish.gguf_file import export_gguf

    texts = [] if check_texts is None else check_texts.read_text(encoding="utf-8").splitlines()
    report = export_gguf(folder, output, dtype=dtype.value, texts=texts)
    typer.echo(
        f"{output}: {report.num_bytes:,} bytes, {report.num_tensors} tensors; "
        f"the same ids as the tokenizer's on {report.num_texts:,} texts"
    )


def _export_rows(
    shards: Path, output: str, export_format: ExportFormat, split: list[str] | None
) -> None:
    from tonsai_pipeline.errors import DataError
    from tonsai_pipeline.export.shards import export_arrow, export_megatron
    from tonsai_pipeline.storage.remote_rows import push_rows
    from tonsai_pipeline.storage.rows import INDEX_NAME
    from tonsai_pipeline.storage.shards import RowReader

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
