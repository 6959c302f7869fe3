"""`tonsai init`: a recipe for a folder of one's own."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.errors import DataError, RecipeError

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.cli.init.sources import Survey


def init(
    folder: Annotated[Path, typer.Argument(help="Folder with text of any kind.")],
    base: Annotated[
        str | None,
        typer.Option(
            "--base", help="Go on from this model: a folder or a Hub id (continual pretraining)."
        ),
    ] = None,
    keep_base_tokens: Annotated[
        int | None,
        typer.Option(
            min=512,
            help="Of the base's tokens keep those that the text uses most, and their rows of the model (about 64000).",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The recipe to write; ./<folder>.yaml by default."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a recipe that is there.")
    ] = False,
) -> None:
    """Look through a folder and write a recipe for it.

    Finds files, formats, text columns and languages by reading them, and proposes sources, weights by size and a
    model that fits the text and this machine; each line has its reason beside it. Files of a validation or test
    split are named and never trained on. Nothing in the folder is changed.

    Example: `tonsai init my_texts`, then `tonsai run --recipe my_texts.yaml`
    """
    from rich.console import Console

    from tonsai_pipeline.cli.init.base import look_at_base
    from tonsai_pipeline.cli.init.model import choose, find_machine
    from tonsai_pipeline.cli.init.sources import survey
    from tonsai_pipeline.cli.init.write import write_recipe
    from tonsai_pipeline.recipe import load_recipe

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    folder = folder.absolute()
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder"
            if not folder.exists()
            else f"{folder}: is a file; name its folder"
        )
    target = (output or Path(f"{_recipe_name(folder)}.yaml")).absolute()
    if target.suffix not in (".yaml", ".yml"):
        raise RecipeError(f"--output {output}: a recipe ends in .yaml")
    if target.exists() and not force:
        raise RecipeError(
            f"{target}: is there already; --force writes over it, --output names another file"
        )
    if base is None and keep_base_tokens is not None:
        raise RecipeError("--keep-base-tokens: are tokens of --base, which is not given")
    known_base = None if base is None else look_at_base(base, keep_base_tokens)
    with console.status("looking") as status:
        found = survey(folder, progress=lambda line: status.update(f"looking at {line}"))
    text_bytes = {
        lang: sum(source.text_bytes for source in found.training(lang)) for lang in ("khm", "eng")
    }
    text_bytes = {lang: count for lang, count in text_bytes.items() if count}
    if not text_bytes:
        raise DataError(_nothing(found))
    machine = find_machine()
    choice = choose(text_bytes, machine)
    data_folder = Path(os.environ.get("TONSAI_DATA") or target.parent).absolute()
    text = write_recipe(
        found,
        choice,
        machine,
        name=_recipe_name(target),
        base=known_base,
        data_folder=data_folder,
        recipe_folder=target.parent,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    load_recipe(str(target))
    _summarize(found, target, console)


def _recipe_name(path: Path) -> str:
    """Make a valid recipe name of a file's or folder's."""
    name = path.stem if path.suffix in (".yaml", ".yml") else path.name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40] or "my_texts"


def _nothing(found: Survey) -> str:
    folder = found.folder
    reasons = [(one.path, one.reason) for one in found.left_out]
    reasons += [(s.first.path, f"{s.split} split") for s in found.held_out]
    reasons += [
        (s.first.path, s.notes[0] if s.notes else "called junk") for s in found.sources if s.is_junk
    ]
    lines = [f"{path.relative_to(folder)}: {reason}" for path, reason in reasons[:10]]
    return f"{folder}: no Khmer or English text to train on: {'; '.join(lines) or 'it is empty'}"


def _summarize(found: Survey, target: Path, console: Console) -> None:
    from tonsai_pipeline.cli.init.words import size

    for source in found.sources:
        state = "held out" if source.is_held_out else "junk" if source.is_junk else "train"
        files = f"{len(source.files):,} file{'s' * (len(source.files) > 1)}"
        console.print(
            f"  {state:<9} {source.name:<40} {size(source.text_bytes):>10}  {files}", markup=False
        )
    if found.left_out:
        number = f"{len(found.left_out):,} file{'s' * (len(found.left_out) > 1)}"
        console.print(f"  left out  {number}; the recipe names them with the reasons")
    short = target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target
    console.print(f"\n  recipe    {short}", markup=False)
    console.print(f"  cost      tonsai plan --recipe {short}", markup=False)
    console.print(f"  run       tonsai run --recipe {short}", markup=False)
