"""`tonsai prepare`: two sources and their weights -> a clean, deduplicated dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, WorkersOption


def prepare(
    khmer: Annotated[
        str, typer.Option("--khmer", help="Khmer text: a file, folder, glob, or Hub dataset id.")
    ],
    english: Annotated[
        str,
        typer.Option("--english", help="English text: a file, folder, glob, or Hub dataset id."),
    ],
    output_dir: Annotated[Path, typer.Option("--output-dir", help="Where the dataset goes.")],
    khmer_weight: Annotated[
        float, typer.Option("--khmer-weight", min=0.0, help="Target share of Khmer tokens.")
    ] = 0.6,
    english_weight: Annotated[
        float, typer.Option("--english-weight", min=0.0, help="Target share of English tokens.")
    ] = 0.4,
    text_column: Annotated[
        str, typer.Option("--text-column", help="Field that holds the text.")
    ] = "text",
    validation_frac: Annotated[
        float,
        typer.Option("--validation-frac", min=0.0, max=0.5, help="Share of texts held out."),
    ] = 0.005,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the split.")] = 0,
    home: HomeOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Build a mixed dataset: ingest, normalize, deduplicate, score, split.

    The stages are those of the graph, so the history is in the UI and a second call is a cache hit. The result
    opens with `datasets.load_from_disk`; the weights are realised in tokens when `tonsai pretrain` packs it.

    Example: `tonsai prepare --khmer km.jsonl.gz --english en.parquet --output-dir data/mixture`
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_reader, open_workspace, run_graph
    from tonsai_pipeline.cli.single_step import HELD_OUT_NAME, location, shares, write_recipe
    from tonsai_pipeline.export.dataset import export_dataset
    from tonsai_pipeline.storage.files import write_json

    recipe_file = write_recipe(
        output_dir,
        {
            "description": "Written by tonsai prepare.",
            "sources": [
                {"name": "khmer", "lang": "khm", "text_column": text_column, **location(khmer)},
                {"name": "english", "lang": "eng", "text_column": text_column, **location(english)},
            ],
            "mixture": {
                "languages": shares({"khm": khmer_weight, "eng": english_weight}),
                "seed": seed,
                "validation": {"frac": validation_frac},
            },
        },
    )
    options = GraphOptions(home=home, data=Path.cwd(), num_workers=workers)
    recipe, workspace = open_workspace(str(recipe_file), options)
    run_graph(recipe, workspace, options, ["training_mixture"])
    reader = open_reader(recipe, workspace)
    mixed = reader.arguments("training_mixture")["mixed"]
    normalized = {key: reader.build("normalized_documents", key) for key in mixed}
    counts = export_dataset(reader.build("training_mixture"), mixed, normalized, output_dir)
    held_out = recipe.mixture.model_dump(mode="json", include={"validation"})
    write_json(output_dir / HELD_OUT_NAME, held_out)
    typer.echo(
        f"{output_dir}: {counts['train']:,} train, {counts['validation']:,} validation documents"
    )
    typer.echo(
        f"next: tonsai train-tokenizer --dataset-dir {output_dir} --output-dir artifacts/tokenizer"
    )
