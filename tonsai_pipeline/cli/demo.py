"""`tonsai demo`: from generated dumps to a trained model and its report, on a laptop."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, WorkersOption

if TYPE_CHECKING:
    from tonsai_pipeline.storage.layout import Layout

_NUM_CONVERSATIONS = 8000


def demo(
    home: HomeOption = None,
    workers: WorkersOption = 0,
    only_dumps: Annotated[
        Path | None,
        typer.Option(help="Write the generated dumps into this folder, and do nothing else."),
    ] = None,
    only_conversations: Annotated[
        Path | None,
        typer.Option(help="Write generated conversations (JSONL) there, and do nothing else."),
    ] = None,
) -> None:
    """Build a small model from generated Khmer and English dumps, in minutes, without a GPU.

    Writes a few MB of dumps in several formats into the inbox, then runs the recipe `demo` through the whole
    graph. A second `tonsai demo` finds everything done.
    """
    if only_dumps is not None:
        _write_dumps(only_dumps)
    if only_conversations is not None:
        _write_conversations(only_conversations)
    if only_dumps is not None or only_conversations is not None:
        return
    from rich.console import Console

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph, ui_command
    from tonsai_pipeline.cli.report import print_summary

    options = GraphOptions(home=home, num_workers=workers)
    recipe, workspace = open_workspace("demo", options)
    store = workspace.store(recipe)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    _fill_inbox(store.layout)
    inbox = store.layout.inbox_place
    console.print(
        f"[bold]tonsai demo[/bold]  dumps in {inbox if '://' in inbox else _short(store.layout.inbox)}"
    )
    look = ui_command("demo", options)
    run_graph(recipe, workspace, options)
    report = store.current("evaluation_report")
    print_summary(report, console)
    console.print(f"\n  report     {_short(report.path / 'report.html')}")
    console.print(f"  model      {_short(store.current('pretrained_model').path / 'model')}")
    console.print(f"  look       {look}     then open http://127.0.0.1:3000/asset-groups")
    console.print('  try        uv run tonsai generate --recipe demo "ភ្នំពេញ"')


def _fill_inbox(layout: Layout) -> None:
    """Write the generated dumps once; files that a person put or changed there are left alone."""
    from tonsai_pipeline.storage.origin import open_origin

    folder, origin = layout.root / "synthetic", open_origin(layout.root)
    _write_dumps(folder)
    key = f"inbox/{layout.recipe}"
    there = set(origin.bucket.list(key)) if origin else {p.name for p in layout.inbox.glob("*")}
    layout.inbox.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if "@" not in path.name or path.name in there:
            continue
        if origin is not None:
            origin.bucket.send(path, f"{key}/{path.name}")
        else:
            shutil.copyfile(path, layout.inbox / path.name)


def _write_dumps(folder: Path) -> None:
    from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps

    if not (folder / "truth.jsonl").is_file():
        typer.echo(f"writing generated dumps into {_short(folder)}", err=True)
        write_synthetic_dumps(folder)


def _write_conversations(path: Path) -> None:
    from tonsai_pipeline.synthetic.instructions import write_instructions

    typer.echo(f"writing generated conversations into {_short(path)}", err=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_instructions(path, _NUM_CONVERSATIONS)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
