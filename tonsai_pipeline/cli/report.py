"""`tonsai report`: the numbers of a recipe's evaluation, or of any asset, in the terminal."""

from __future__ import annotations

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
    json: Annotated[bool, typer.Option("--json", help="The asset's whole report as JSON.")] = False,
    home: HomeOption = None,
) -> None:
    """Show what a recipe's evaluation measured, or the report of any asset.

    Example: `tonsai report --asset normalized_documents --dump khm_news@20260901 --json`
    """
    import orjson
    from rich.console import Console

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    artifact = workspace.store(loaded).current(asset, dump)
    if json:
        typer.echo(orjson.dumps(dict(artifact.report), option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    if asset == "evaluation_report":
        print_summary(artifact, console)
        console.print(f"\n{artifact.path / 'report.md'}")
    else:
        _print_report(artifact, console)


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


def _print_report(artifact: Artifact, console: Console) -> None:
    from rich.pretty import Pretty

    console.print(f"[bold]{artifact.manifest.asset}[/bold]  {artifact.path}")
    for name, value in artifact.report.items():
        console.print(f"  {name:<28}", Pretty(value, max_length=20, max_string=120))
