"""`tonsai prepare`: two sources and their weights -> a clean, deduplicated dataset folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

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
        float, typer.Option("--khmer-weight", min=0.0, help="Wished share of Khmer tokens.")
    ] = 0.6,
    english_weight: Annotated[
        float, typer.Option("--english-weight", min=0.0, help="Wished share of English tokens.")
    ] = 0.4,
    text_column: Annotated[
        str, typer.Option("--text-column", help="Field that holds the text.")
    ] = "text",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the split.")] = 0,
    home: HomeOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Build a mixed dataset: ingest, normalize, deduplicate, score, split.

    The stages are those of the graph, so the history is in the UI and a second call is a cache hit. The result
    opens with `datasets.load_from_disk`; the weights are realised in tokens when `tonsai pretrain` packs it.

    Example: `tonsai prepare --khmer km.jsonl.gz --english en.parquet --output-dir data/mixture`
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph
    from tonsai_pipeline.defs.corpus.dump_catalog import of_every_dump
    from tonsai_pipeline.stages.export_dataset import export_dataset

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
            },
        },
    )
    options = GraphOptions(home=home, data=Path.cwd(), num_workers=workers)
    recipe, workspace = open_workspace(str(recipe_file), options)
    run_graph(recipe, workspace, options, [*_UP_TO_MIXTURE])
    store = workspace.store(recipe)
    counts = export_dataset(
        store.current("training_mixture"),
        of_every_dump(store, "normalized_documents"),
        output_dir,
        store=store,
    )
    typer.echo(
        f"{output_dir}: {counts['train']:,} train, {counts['validation']:,} validation documents"
    )
    typer.echo(
        f"next: tonsai train-tokenizer --dataset-dir {output_dir} --output-dir artifacts/tokenizer"
    )


_UP_TO_MIXTURE = (
    "raw_documents",
    "normalized_documents",
    "minhash_signatures",
    "deduplicated_documents",
    "scored_documents",
    "training_mixture",
)


def shares(weights: dict[str, float]) -> dict[str, float]:
    """Scale weights so that they sum to 1; languages without weight are left out.

    Example:
        >>> shares({"khm": 3, "eng": 1})
        {'khm': 0.75, 'eng': 0.25}
    """
    total = sum(weights.values())
    return {lang: weight / total for lang, weight in weights.items() if weight > 0}


def location(name: str) -> dict[str, Any]:
    """Return the recipe keys of a source given as a path, a glob, a URL or a Hub id."""
    looks_like_id = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists()
    return {"hub": {"id": name}} if looks_like_id else {"path": name}


def write_recipe(output_dir: Path, values: dict[str, Any]) -> Path:
    """Write the recipe of a single-step command beside its output, named after it, and return its path."""
    import yaml

    from tonsai_pipeline.storage.files import write_bytes

    name = re.sub(r"[^a-z0-9_.-]+", "-", str(output_dir).lower()).strip("-._") or "output"
    path = output_dir.with_name(output_dir.name + ".recipe.yaml")
    text = yaml.safe_dump(
        {"name": name[-60:].lstrip("-._"), **values}, allow_unicode=True, sort_keys=False
    )
    write_bytes(path, text.encode())
    return path
