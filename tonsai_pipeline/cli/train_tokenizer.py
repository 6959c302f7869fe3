"""`tonsai train-tokenizer`: a prepared dataset or raw text files -> a tokenizer folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, WorkersOption


def train_tokenizer(
    output_dir: Annotated[Path, typer.Option("--output-dir", help="Where the tokenizer goes.")],
    dataset_dir: Annotated[
        Path | None,
        typer.Option("--dataset-dir", help="Dataset folder, as `tonsai prepare` writes it."),
    ] = None,
    input: Annotated[
        list[Path] | None,
        typer.Option("--input", help="Raw text files, one document a line, instead of a dataset."),
    ] = None,
    more_input: Annotated[list[Path] | None, typer.Argument(help="More raw text files.")] = None,
    dataset_split: Annotated[
        str, typer.Option("--dataset-split", help="Split to train on.")
    ] = "train",
    text_column: Annotated[
        str, typer.Option("--text-column", help="Field that holds the text.")
    ] = "text",
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=512, help="Tokens.")] = 50_000,
    home: HomeOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Train a tokenizer that never cuts a Khmer cluster, balanced by content between the languages.

    The result opens with `AutoTokenizer.from_pretrained`. The text is used as it is, Khmer normalized.

    Examples: `tonsai train-tokenizer --dataset-dir data/mixture --vocab-size 50000 --output-dir artifacts/tokenizer`,
    `tonsai train-tokenizer --input khmer.txt english.txt --output-dir artifacts/tokenizer`
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph
    from tonsai_pipeline.cli.single_step import (
        AS_IT_IS,
        NOTHING_HELD_OUT,
        dataset_sources,
        hold_out,
        text_sources,
        write_recipe,
    )
    from tonsai_pipeline.defs.models.launcher import copy_out
    from tonsai_pipeline.errors import RecipeError

    files = [*(input or []), *(more_input or [])]
    if (dataset_dir is None) == (not files):
        raise RecipeError("give --dataset-dir or --input, one of them")
    sources, languages = (
        text_sources(files)
        if dataset_dir is None
        else dataset_sources(dataset_dir, dataset_split, text_column)
    )
    held_out = NOTHING_HELD_OUT if dataset_dir is None else hold_out(dataset_dir, dataset_split)
    recipe_file = write_recipe(
        output_dir,
        {
            "description": "Written by tonsai train-tokenizer.",
            "sources": sources,
            **AS_IT_IS,
            "mixture": {"languages": languages, **held_out},
            "tokenizer": {"vocab_size": vocab_size},
        },
    )
    options = GraphOptions(home=home, data=Path.cwd(), num_workers=workers)
    recipe, workspace = open_workspace(str(recipe_file), options)
    run_graph(recipe, workspace, options, ["tokenizer"])
    copy_out(workspace.store(recipe).current("tokenizer").path, output_dir)
    typer.echo(f"tokenizer: {output_dir}")
