"""`tonsai evaluate`: any models, on the same texts and prompts, in one table."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tonsai_pipeline.cli.options import HomeOption, model_place

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.evaluate.measure import Material
    from tonsai_pipeline.lineage import Builder


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Model folders or Hub ids (`gpt2`, `owner/name@revision`).", show_default=False
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Measure on this recipe's held-out documents, with its evaluate section; its own model comes first.",
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--texts",
            "-t",
            help="Texts for bits per byte as LANG=FILE or NAME:LANG=FILE (repeatable).",
        ),
    ] = None,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Where report.html and results.json go.")
    ] = Path("evaluation"),
    suite: Annotated[
        bool | None, typer.Option("--suite/--no-suite", help="Run the prompt suite.")
    ] = None,
    chat: Annotated[
        bool | None,
        typer.Option("--chat/--base", help="Give prompts as a user's turn, by the chat template."),
    ] = None,
    harness: Annotated[
        list[str] | None,
        typer.Option("--harness", help="A task of lm-eval, ours or its own (repeatable)."),
    ] = None,
    terms: Annotated[
        list[str] | None,
        typer.Option("--terms", help="Terms not to be added, as LANG=FILE (repeatable)."),
    ] = None,
    max_documents: Annotated[
        int | None,
        typer.Option("--max-documents", min=1, help="Documents of each set of texts at most."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Measure models: bits per byte, the Khmer prompt suite, health of what they write, safety, the gate.

    Example: `tonsai evaluate runs/mine/model gpt2 --texts khm=ntrex_khm.jsonl.gz`
    """
    from rich.console import Console
    from transformers.utils import logging

    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.evaluate.compare import compare, name_places
    from tonsai_pipeline.evaluate.job import write
    from tonsai_pipeline.evaluate.measure import Material
    from tonsai_pipeline.recipe.evaluate import EvaluateConfig
    from tonsai_pipeline.text import NormalizeOptions

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    changes = {
        "texts": [texts_option(one) for one in texts or []] or None,
        "suite": suite,
        "chat": chat,
        "harness": harness,
        "listed_terms": dict(_pair("--terms", one) for one in terms or []) or None,
        "max_documents": max_documents,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    places = {name: model_place(place) for name, place in name_places(models or []).items()}
    config, options, material = EvaluateConfig(), NormalizeOptions(), Material()
    with tempfile.TemporaryDirectory() as work:
        if recipe is not None:
            from tonsai_pipeline.cli.graph import GraphOptions, open_reader, open_workspace

            loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
            config = loaded.evaluate
            options = NormalizeOptions(coeng_da=loaded.normalize.coeng_da)
            builder = open_reader(loaded, workspace)
            own = builder.arguments("evaluation_report")["trained"].path / "model"
            places = {loaded.name: str(own), **name_places(config.compare_with), **places}
            limit = max_documents or config.max_documents
            material = recipe_material(builder, Path(work), limit)
        if not places:
            raise RecipeError(
                "name a model to measure: tonsai evaluate MODEL [MODEL...], or --recipe NAME"
            )
        found = compare(
            places,
            EvaluateConfig.model_validate({**config.model_dump(), **changes}),
            material,
            options,
            title=next(iter(places)),
            log=console.print,
            is_trained_on_corpus=recipe is not None,
        )
    write(found, output_dir)
    print_results(found.as_dict(), console, {name: license_of(one) for name, one in places.items()})
    typer.echo(output_dir / "report.html")


def print_results(
    results: dict[str, Any], console: Console, licenses: Mapping[str, str] | None = None
) -> None:
    """Print sizes, bits per byte, the suite and the gate of `results.json`, a column a model.

    Args:
        results: What was measured.
        console: Where.
        licenses: Of each model by name; None prints none.
    """
    from rich.table import Table

    models = results["models"]
    table = Table("", *(model["name"] for model in models), box=None)
    table.add_row("parameters", *(f"{model['num_parameters']:,}" for model in models))
    table.add_row("tokens of the vocabulary", *(f"{model['vocab_size']:,}" for model in models))
    if licenses is not None:
        table.add_row("license", *(licenses[model["name"]] for model in models))
    for place, row in enumerate(models[0]["bits_per_byte"]):
        if row["by"] == "all":
            cells = [model["bits_per_byte"][place]["bits_per_byte"] for model in models]
            table.add_row(
                f"bits per byte: {row['texts']}, {row['language']}", *map(_interval, cells)
            )
            cut = (model["bits_per_byte"][place]["bytes_per_token"] for model in models)
            table.add_row("  bytes per token", *(f"{value:.2f}" for value in cut))
    for place, row in enumerate(models[0]["suite"]):
        cells = [model["suite"][place]["score"] for model in models]
        name = f"{row['kind'].replace('_', ' ')} ({row['measure']})"
        table.add_row(name, *map(_interval, cells))
    for group in results["following"][0]["exact"] if results["following"] else ():
        cells = [one["exact"][group] for one in results["following"]]
        table.add_row(f"right answers, {group}", *map(_interval, cells))
    if results["following"]:
        ended = [one["ended"] for one in results["following"]]
        table.add_row("answers ended by the model", *map(_interval, ended))
    console.print(table)
    if results["gate"]:
        colors = {"passed": "green", "failed": "red", "unknown": "yellow"}
        for row in results["gate"]["verdicts"]:
            waived = f"  accepted: {row['waiver']}" if row["waiver"] else ""
            color = colors[row["verdict"]]
            console.print(
                f"  [{color}]{row['verdict']:<8}[/{color}] {row['name']:<14} {row['message']}{waived}"
            )


def license_of(place: str) -> str:
    """Return the license that the card of a model names: its folder's README.md, or that of the Hub or its cache."""
    import yaml
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError

    folder = Path(place)
    try:
        card = ModelCard.load(folder / "README.md" if folder.is_dir() else place.partition("@")[0])
    except (OSError, ValueError, HfHubHTTPError, yaml.YAMLError):
        # No card, or one that cannot be read.
        return "not stated"
    return str(card.data.get("license") or "not stated")


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:.3f} ({value['low']:.3f}\u2013{value['high']:.3f})"


def _pair(option: str, said: str) -> tuple[str, str]:
    from tonsai_pipeline.errors import RecipeError

    language, sign, path = said.partition("=")
    if not sign or language.rpartition(":")[2] not in ("khm", "eng"):
        raise RecipeError(f"{option} {said}: write khm=FILE or eng=FILE")
    return language, str(Path(path).absolute())


def texts_option(said: str) -> dict[str, Any]:
    """Read a value of `--texts`: a section of `evaluate.texts`."""
    where, path = _pair("--texts", said)
    name, _, language = where.rpartition(":")
    stem = Path(path).name.split(".", 1)[0].lower()
    return {"name": name or stem, "lang": language, "path": path}


def recipe_material(builder: Builder, work: Path, max_documents: int) -> Material:
    """Gather what a recipe's models are measured on: what its evaluation_report would be given."""
    from tonsai_pipeline.evaluate.measure import Material
    from tonsai_pipeline.evaluate.texts import CorpusPart, read_held_out
    from tonsai_pipeline.stages.mix.held_out import write_held_out
    from tonsai_pipeline.stages.mix.texts import mixture_parts

    given = builder.arguments("evaluation_report")
    parts, held_out = (
        mixture_parts(given["mixed"], given["normalized_documents"]),
        work / "held_out.parquet",
    )
    write_held_out(parts, held_out, max_documents=max_documents)
    return Material(
        texts=(read_held_out(held_out),),
        corpus=tuple(CorpusPart(part.pointers, part.texts) for part in parts),
        shards_dir=given["packed_shards"].path,
    )
