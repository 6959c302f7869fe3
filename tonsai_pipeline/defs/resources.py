"""What every asset is given: the data root, and an engine for this run.

Workspace(root, data) ──store(recipe)──▶ Store          RunOptions ──open_engine()──▶ Engine

The place comes from the environment or the command line, never from a launch form: a run cannot name a folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import dagster as dg
import yaml
from pydantic import Field

from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.recipe import Recipe, find_recipe, load_recipe
from tonsai_pipeline.storage.data_root import default_root, open_root
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

_INSTANCE_FILE = "dagster.yaml"
#: What has a place of its own below DAGSTER_HOME, and needs none named.
_PLACED = ("compute_logs",)


@dataclass(frozen=True)
class Workspace:
    """Where data lies on this machine; it can change nothing but the place.

    Args:
        root: Data root, a folder or a URL; empty for TONSAI_HOME or ./tonsai_data.
        data: Folder that relative source paths start at; empty for TONSAI_DATA or the working folder.
        recipe_file: Of the recipe, if it is in one; a published model's card names its commit.
    """

    root: str = ""
    data: str = ""
    recipe_file: str = ""

    def store(self, recipe: Recipe) -> Store:
        """Open the store for a recipe."""
        root = open_root(self.root).absolute() if self.root else default_root()
        return Store(Layout(root, recipe.name))

    def data_folder(self) -> Path:
        """Return the folder that relative source paths start at."""
        return Path(self.data or os.environ.get("TONSAI_DATA") or ".").absolute()


def open_workspace(
    name_or_path: str, *, root: Path | None = None, data: Path | None = None
) -> tuple[Recipe, Workspace]:
    """Load a recipe and decide where its data lies.

    Args:
        name_or_path: A shipped recipe, or a file.
        root: Data root; None for TONSAI_HOME or ./tonsai_data.
        data: Folder that relative source paths start at; None for TONSAI_DATA or the recipe's own folder.

    Raises:
        RecipeError: The recipe is not there or has a mistake.
    """
    recipe = load_recipe(name_or_path)
    file = find_recipe(name_or_path)
    home = "" if root is None else str(root.absolute())
    folder = Path(data or os.environ.get("TONSAI_DATA") or file.parent).absolute()
    return recipe, Workspace(root=home, data=str(folder), recipe_file=str(file))


def has_instance() -> bool:
    """Tell whether this process is set up with a Dagster instance."""
    return bool(os.environ.get("DAGSTER_HOME")) or Path(_INSTANCE_FILE).is_file()


def own_instance_folder(root: Path | None) -> Path | None:
    """Return the folder of the history that is kept in the data root; None where the process is set up with another.

    Args:
        root: The data root; None for TONSAI_HOME or ./tonsai_data.
    """
    return None if has_instance() else (root or default_root()).absolute() / "dagster"


def open_instance(root: Path | None = None) -> dg.DagsterInstance:
    """Open the persistent Dagster instance: DAGSTER_HOME, `dagster.yaml` in the working folder, or the data root.

    Args:
        root: The data root; None for TONSAI_HOME or ./tonsai_data.

    Raises:
        StorageError: DAGSTER_HOME is no folder that can be used.
    """
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    given = os.environ.get("DAGSTER_HOME")
    if not given and Path(_INSTANCE_FILE).is_file():
        return dg.DagsterInstance.from_config(str(Path.cwd()), _INSTANCE_FILE)
    home = own_instance_folder(root) or Path(given or "")
    if not home.is_absolute():
        raise StorageError(
            f"DAGSTER_HOME={given}: write the whole path, for example {home.absolute()}"
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"DAGSTER_HOME={home}: cannot be used: {error.strerror}") from error
    if not given and not (home / _INSTANCE_FILE).exists():
        (home / _INSTANCE_FILE).write_text(_project_instance())
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.get()


def _project_instance() -> str:
    """Return the project's `dagster.yaml` as it is for a folder of its own: the same guard, limits and retries."""
    packed = Path(__file__).with_name(_INSTANCE_FILE)
    project = packed if packed.is_file() else Path(__file__).parents[2] / _INSTANCE_FILE
    settings = yaml.safe_load(project.read_text())
    kept = {name: value for name, value in settings.items() if name not in _PLACED}
    for placed in (kept["local_artifact_storage"], kept["storage"]["custom"]):
        placed["config"] = {"base_dir": {"env": "DAGSTER_HOME"}}
    return yaml.safe_dump(kept, sort_keys=False)


class RunOptions(dg.Config):
    """Settings of one run that cannot change its result."""

    num_workers: int = Field(
        default=0, ge=0, le=1024, description="Parallel parts; 0 for every core"
    )
    engine: Literal["local", "ray"] = Field(
        default="local", description="Process pool on this machine, or Ray tasks on a cluster"
    )
    force: bool = Field(default=False, description="Do the work again even if it is finished")

    def open_engine(self) -> Engine:
        """Return the engine; one a process, because its workers are costly to start."""
        return _engine(self.engine, self.num_workers)


@lru_cache
def _engine(name: str, num_workers: int) -> Engine:
    # A run's small stages work in its own process.
    import tonsai_pipeline.engine.preloaded  # noqa: F401

    return open_engine(name, num_workers=num_workers or None)
