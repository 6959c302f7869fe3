"""`tonsai run`: materialize the graph of a recipe, unchanged work is a cache hit."""

from __future__ import annotations

from typing import Annotated

import typer

from tonsai_pipeline.cli.options import (
    DataOption,
    EngineOption,
    ForceOption,
    HomeOption,
    NodesOption,
    RecipeOption,
    WorkersOption,
)


def run(
    recipe: RecipeOption = "demo",
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select",
            "-s",
            help="These assets and what they are made from, with --force they alone (repeatable, or comma-separated).",
        ),
    ] = None,
    data: DataOption = None,
    home: HomeOption = None,
    workers: WorkersOption = 0,
    engine: EngineOption = "local",
    nodes: NodesOption = "1",
    force: ForceOption = False,
) -> None:
    """Materialize the graph of a recipe, from raw dumps to the evaluation report.

    Every dump is run, then everything that follows. What is unchanged since the last run is a cache hit.
    The last line is the command that shows the history in the web UI.

    Example: `tonsai run --recipe my.yaml --select packed_shards`
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph, ui_command

    options = GraphOptions(
        home=home, data=data, num_workers=workers, engine=engine, force=force, nodes=nodes
    )
    loaded, workspace = open_workspace(recipe, options)
    names = [name.strip() for entry in select or [] for name in entry.split(",") if name.strip()]
    look = ui_command(recipe, options)
    run_graph(loaded, workspace, options, names)
    typer.echo(f"  look   {look}", err=True)
