"""`tonsai dumps`: which raw dumps a recipe has, and switching them on and off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.cli.options import DataOption, HomeOption, RecipeOption

if TYPE_CHECKING:
    from tonsai_pipeline.defs.resources import Workspace
    from tonsai_pipeline.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True,
    help="Raw dumps: list, add, switch off, look for new ones. A dump is named `<source>@<YYYYMMDD>`.",
)


@app.command("list")
def list_dumps(
    recipe: RecipeOption = "demo", data: DataOption = None, home: HomeOption = None
) -> None:
    """List the dumps of a recipe in catalog order, with their state."""
    from rich.console import Console
    from rich.table import Table

    from tonsai_pipeline.catalog.catalog import find_dumps
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace
    from tonsai_pipeline.errors import ManifestError

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home, data=data))
    store = workspace.store(loaded)
    table = Table("dump", "files", "enabled", "documents", box=None)
    for dump in find_dumps(loaded, store.layout, workspace.data_folder()).dumps:
        try:
            made = f"{store.current('raw_documents', dump.key).report['num_documents']:,}"
        except ManifestError:
            made = "not ingested"
        table.add_row(dump.key, str(len(dump.files)), "yes" if dump.enabled else "no", made)
    Console(highlight=False, soft_wrap=True).print(table)


@app.command("scan")
def scan(recipe: RecipeOption = "demo", data: DataOption = None, home: HomeOption = None) -> None:
    """Look for new dumps in the sources and the inbox, and register them as partitions."""
    from tonsai_pipeline.catalog.catalog import find_dumps
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home, data=data))
    layout = workspace.store(loaded).layout
    if layout.inbox_place == str(layout.inbox):
        layout.inbox.mkdir(parents=True, exist_ok=True)
    found = find_dumps(loaded, layout, workspace.data_folder())
    keys = [dump.key for dump in found.enabled]
    new = _register(loaded, workspace, keys)
    typer.echo(f"{len(keys)} dumps enabled, {len(new)} new: {', '.join(new) or 'none'}")
    typer.echo(f"inbox: {layout.inbox_place}")
    for problem in found.problems:
        typer.echo(f"problem: {problem}", err=True)


@app.command("add")
def add(
    source: Annotated[str, typer.Argument(help="Name of a source of the recipe.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or URLs; they stay where they are. None: switch on."),
    ] = None,
    *,
    date: Annotated[str, typer.Option("--date", help="Date of the snapshot, YYYYMMDD.")],
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Add a dump that lies outside the inbox, or switch a removed one on again."""
    from tonsai_pipeline.catalog.catalog import add_dump
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    key = add_dump(
        loaded, workspace.store(loaded).layout, source=source, date=date, files=files or []
    )
    _register(loaded, workspace, [key])
    typer.echo(f"added {key}; next: tonsai run --recipe {recipe}")


@app.command("remove")
def remove(
    key: Annotated[str, typer.Argument(help="Dump key, `<source>@<YYYYMMDD>`.")],
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    home: HomeOption = None,
) -> None:
    """Switch a dump off: the corpus is built without it. No file is deleted."""
    from tonsai_pipeline.catalog.catalog import remove_dump
    from tonsai_pipeline.cli.graph import GraphOptions, open_instance, open_workspace
    from tonsai_pipeline.defs.recipe_graph import Graph

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home, data=data))
    remove_dump(loaded, workspace.store(loaded).layout, workspace.data_folder(), key)
    partitions = str(Graph(loaded, workspace).dumps.name)
    with open_instance(workspace.store(loaded).layout.root) as instance:
        if key in instance.get_dynamic_partitions(partitions):
            instance.delete_dynamic_partition(partitions, key)
    typer.echo(f"switched off {key}; next: tonsai run --recipe {recipe}")


def _register(recipe: Recipe, workspace: Workspace, keys: Sequence[str]) -> list[str]:
    """Add partitions that are not there yet; return them."""
    from tonsai_pipeline.cli.graph import open_instance
    from tonsai_pipeline.defs.recipe_graph import Graph

    partitions = str(Graph(recipe, workspace).dumps.name)
    with open_instance(workspace.store(recipe).layout.root) as instance:
        known = set(instance.get_dynamic_partitions(partitions))
        new = [key for key in keys if key not in known]
        instance.add_dynamic_partitions(partitions, new)
    return new
