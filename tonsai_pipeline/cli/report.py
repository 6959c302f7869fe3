"""`tonsai report`: the numbers of a recipe's evaluation, or of any asset, in the terminal; runs side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, RecipeOption

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.storage.store import Artifact


def report(
    recipe: RecipeOption = "demo",
    asset: Annotated[
        str, typer.Option("--asset", "-a", help="Asset to report on.")
    ] = "evaluation_report",
    dump: Annotated[
        str | None, typer.Option("--dump", help="Dump key, for a partitioned asset.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            help="Folders with results.json, or recipes (repeatable): one page with their models side by side.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page that --compare writes.")
    ] = Path("comparison.html"),
    json: Annotated[bool, typer.Option("--json", help="The asset's whole report as JSON.")] = False,
    home: HomeOption = None,
) -> None:
    """Show what a recipe's evaluation measured, or the report of any asset.

    Examples: `tonsai report --asset normalized_documents --dump khm_news@20260901 --json`,
    `tonsai report --compare evaluation --compare last_month --output both.html`
    """
    import orjson
    from rich.console import Console

    if compare:
        _compare(compare, output, home)
        return
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    artifact = workspace.store(loaded).current(asset, dump)
    if json:
        typer.echo(orjson.dumps(dict(artifact.report), option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    if asset == "evaluation_report":
        print_summary(artifact, console)
        console.print(f"\n{artifact.path / 'report.html'}")
    else:
        _print_report(artifact, console)


def _compare(runs: Sequence[str], output: Path, home: Path | None) -> None:
    """Write one page over the first model of each run."""
    import datetime as dt

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.evaluate.compare import name_places
    from tonsai_pipeline.evaluate.measure import differences
    from tonsai_pipeline.evaluate.report import html
    from tonsai_pipeline.evaluate.results import Results, read_models
    from tonsai_pipeline.evaluate.spec import RESULTS_NAME
    from tonsai_pipeline.metrics.suite import load_suite
    from tonsai_pipeline.storage.files import write_bytes

    if len(runs) < 2:
        raise RecipeError("--compare needs two runs or more")
    models, suites = [], set()
    names = name_places(runs)
    for name, run in names.items():
        place = Path(run)
        if not place.is_dir() and place.suffix != ".json":
            loaded, workspace = open_workspace(run, GraphOptions(home=home))
            place = workspace.store(loaded).current("evaluation_report").path
        own, suite = read_models(place / RESULTS_NAME if place.is_dir() else place)
        # Two runs may call their models the same.
        models.append(dataclasses.replace(own[0], name=f"{name}: {own[0].name}"))
        suites.add(suite)
    paired, unpaired = differences(models)
    same = suites.pop() if len(suites) == 1 else ""
    results = Results(
        title=" and ".join(names),
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        models=models,
        differences=paired,
        not_measured=unpaired,
        items=load_suite(same) if same else (),
        suite=same,
    )
    write_bytes(output, html(results).encode())
    typer.echo(output)


def print_summary(artifact: Artifact, console: Console) -> None:
    """Print bits per byte before and after training, a line a language."""
    from rich.table import Table

    table = Table("held-out text", "bits per byte, untrained", "trained", "perplexity", box=None)
    for lang, row in artifact.report["languages"].items():
        table.add_row(
            lang,
            f"{row['before']['bits_per_byte']:.3f}",
            f"{row['after']['bits_per_byte']:.3f}",
            f"{row['after']['perplexity']:.1f}",
        )
    console.print(table)
    promised = artifact.report.get("promised")
    if promised is None:
        return
    if promised["problem"]:
        console.print(f"  [yellow]prediction not compared: {promised['problem']}[/yellow]")
    for one in promised["languages"]:
        said = (
            f"{one['language']}: predicted {one['predicted']['value']:.4f} ({one['predicted']['low']:.4f} to "
            f"{one['predicted']['high']:.4f}), measured {one['measured']:.4f}, {one['error']:+.2%}"
        )
        alert = "" if one["is_inside"] else "  [red]ALERT: outside the interval[/red]"
        console.print(f"  {said}{alert}")


def _print_report(artifact: Artifact, console: Console) -> None:
    from rich.pretty import Pretty

    console.print(f"[bold]{artifact.manifest.asset}[/bold]  {artifact.path}")
    for name, value in artifact.report.items():
        console.print(f"  {name:<28}", Pretty(value, max_length=20, max_string=120))
