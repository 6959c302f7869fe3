"""Options that several commands share, and the help text that goes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def model_folder(place: Path) -> Path:
    """Return the model that a folder holds: itself, or `model/` in what `pretrain` and `sft` write."""
    inner = place / "model"
    is_inside = not (place / "config.json").is_file() and (inner / "config.json").is_file()
    return inner if is_inside else place


def model_place(place: str) -> str:
    """Return `model_folder` of a place that may also be a Hub id."""
    return str(model_folder(Path(place))) if Path(place).is_dir() else place


RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", "-r", envvar="TONSAI_RECIPE", help="Shipped name or path of a recipe."
    ),
]


def _open_root(place: str) -> Path:
    from tonsai_pipeline.storage.data_root import open_root

    return open_root(place)


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="TONSAI_HOME",
        parser=_open_root,
        metavar="FOLDER|URL",
        help="Data root, a folder or s3://bucket/folder; ./tonsai_data by default.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="TONSAI_DATA",
        help="Folder that relative source paths of the recipe start at; the recipe's folder by default.",
    ),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", "-j", min=0, help="Parallel parts; 0 for every core.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="`local` (process pool) or `ray` (an existing cluster).")
]
NodesOption = Annotated[
    str,
    typer.Option(
        "--nodes",
        envvar="TONSAI_NODES",
        help="Machines that train: 2, or 1:4 for one to four; the others run `tonsai node`.",
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Do the work again even if it is finished.")
]
RecipesOption = Annotated[
    list[str],
    typer.Option(
        "--recipe",
        "-r",
        envvar="TONSAI_RECIPE",
        help="Shipped name or path of a recipe; repeatable, or with commas.",
    ),
]
ModelFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="A model folder, or an output folder with one, instead of the recipe's model.",
        callback=lambda place: place and model_folder(place),
    ),
]
