"""`tonsai gc`: what of a data root nothing needs any more, and why; deletes it only when asked to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.cli.options import DataOption, HomeOption, RecipesOption

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.lineage import Builder
    from tonsai_pipeline.lineage.garbage import Verdict

_DAY_S = 86400.0


def gc(
    recipe: RecipesOption = ["demo"],  # noqa: B006 (Typer copies it)
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what may go; without it nothing is touched.")
    ] = False,
    keep_days: Annotated[
        float,
        typer.Option("--keep-days", min=0.0, help="Keep what was made or used in the last days."),
    ] = 7.0,
    old_models: Annotated[
        bool,
        typer.Option(
            "--old-models", help="Finished models that no recipe shows, and their corpora, may go."
        ),
    ] = False,
    forget: Annotated[
        list[str] | None,
        typer.Option("--forget", help="A recipe that you need no more (repeatable)."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="A line for every folder that may go.")
    ] = False,
    data: DataOption = None,
    home: HomeOption = None,
) -> None:
    """Say what of the data root may go and why, and delete it with `--delete`.

    What a recipe would find as it is, what is shown of it, finished models, what a run that works has used, and all
    that these were made from, stays. Name every recipe that uses the data root. Raw dumps are never touched. Where the
    data root is in an object store only this machine's copies go, those that nobody opened of late.

    Example: `tonsai gc --recipe my.yaml`, and then `tonsai gc --recipe my.yaml --delete`
    """
    from rich.console import Console

    from tonsai_pipeline.lineage.garbage import Limits, judge
    from tonsai_pipeline.pipeline import PIPELINE
    from tonsai_pipeline.storage.layout import origin_url
    from tonsai_pipeline.storage.lease import oldest_lease
    from tonsai_pipeline.storage.space import finish_clearing, list_folders

    names = [name.strip() for entry in recipe for name in entry.split(",") if name.strip()]
    root, builders = _open(names, home, data)
    origin = origin_url(root)
    if origin is None:  # else what goes is a copy, whoever needs it
        _check_recipes(root, builders, forget or [])
    if delete:
        finish_clearing(root)
    lease_since_s = oldest_lease(root)
    limits = Limits(
        time.time() - keep_days * _DAY_S,
        lease_since_s,
        keep_models=not old_models,
        origin=origin,
    )
    verdicts = judge(list_folders(root), PIPELINE, builders, limits)
    # As wide as its rows: a pipe or a file has no width of its own.
    console = Console(width=160, highlight=False, soft_wrap=True)
    _show(verdicts, console, verbose=verbose)
    if delete:
        _delete(root, verdicts, forget or [], console)
    elif any(not one.stays for one in verdicts):
        console.print("Nothing was deleted. The same command with --delete does it.")


def _open(
    names: Sequence[str], home: Path | None, data: Path | None
) -> tuple[Path, dict[str, list[Builder]]]:
    """Open every recipe over the dumps that its catalog names, and over those on the disk."""
    from contextlib import suppress

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace
    from tonsai_pipeline.errors import ManifestError
    from tonsai_pipeline.pipeline import dumps_of_catalog, dumps_on_disk, open_builder

    builders, root = {}, Path()
    for name in names:
        loaded, workspace = open_workspace(name, GraphOptions(home=home, data=data))
        store, folder = workspace.store(loaded), workspace.data_folder()
        root = store.layout.root
        views = [dumps_on_disk(loaded, store, folder)]
        with suppress(ManifestError):  # it has none yet
            views.append(dumps_of_catalog(loaded, store, folder))
        builders[loaded.name] = [open_builder(loaded, store, view) for view in views]
    return root, builders


def _check_recipes(
    root: Path, builders: Mapping[str, Sequence[Builder]], forget: Sequence[str]
) -> None:
    """Refuse to judge while the data root belongs to a recipe that nobody named.

    Raises:
        RecipeError: There is one, or a recipe is both named and to be forgotten.
    """
    from tonsai_pipeline.errors import RecipeError

    used = {path.name for path in (root / "current").glob("*") if path.is_dir()}
    if both := sorted(set(forget) & set(builders)):
        raise RecipeError(f"--forget {', '.join(both)}: named by --recipe as well")
    if unknown := sorted(set(forget) - used):
        raise RecipeError(f"--forget {', '.join(unknown)}: {root} has: {', '.join(sorted(used))}")
    if missing := sorted(used - set(builders) - set(forget)):
        raise RecipeError(
            f"{root} holds results of recipe {', '.join(missing)} too, and only its file says what it needs: add "
            f"--recipe FILE for each, or --forget {missing[0]} if you need it no more"
        )


def _show(verdicts: Sequence[Verdict], console: Console, *, verbose: bool) -> None:
    """Print what may go, by stage and reason, and what stays, by reason."""
    from rich.table import Column, Table

    from tonsai_pipeline.storage.space import freed_bytes, say_bytes, used_bytes

    going = [one for one in verdicts if not one.stays]
    table = Table("may go", "folders", "disk", Column("because", no_wrap=True), box=None)
    groups = sorted({(one.folder.asset, one.reason) for one in going})
    for asset, reason in groups:
        paths = [v.folder.path for v in going if (v.folder.asset, v.reason) == (asset, reason)]
        table.add_row(asset, f"{len(paths):,}", say_bytes(used_bytes(paths)), reason)
    if groups:
        console.print(table, "")
    if verbose:
        for one in going:
            console.print(f"  {one.folder.path}", markup=False)
    kept = Table("stays", "folders", "disk", box=None)
    for reason in sorted({one.reason for one in verdicts if one.stays}):
        paths = [one.folder.path for one in verdicts if one.stays and one.reason == reason]
        kept.add_row(reason, f"{len(paths):,}", say_bytes(used_bytes(paths)))
    console.print(kept, "")
    total = freed_bytes([one.folder.path for one in going])
    console.print(f"{len(going):,} of {len(verdicts):,} folders may go: {say_bytes(total)}")


def _delete(
    root: Path, verdicts: Sequence[Verdict], forget: Sequence[str], console: Console
) -> None:
    """Delete what may go, and print what that gave."""
    import shutil

    from tonsai_pipeline.lineage.garbage import forget_cleared
    from tonsai_pipeline.storage.lease import clearing
    from tonsai_pipeline.storage.space import clear, say_bytes, used_bytes

    before = used_bytes([root])
    with clearing(root):
        gone = [clear(root, one.folder) for one in verdicts if not one.stays]
        for name in forget:
            shutil.rmtree(root / "current" / name, ignore_errors=True)
        forget_cleared(root)
    after = used_bytes([root])
    console.print(
        f"deleted {sum(gone):,} folders; {root}: {say_bytes(before)} before, {say_bytes(after)} after, "
        f"{say_bytes(before - after)} freed"
    )
    if not all(gone):
        console.print(f"{gone.count(False):,} were used in the meantime, and stay")
