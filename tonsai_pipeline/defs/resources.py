"""What every asset is given: the data root, and an engine for this run.

Workspace(root) ──store(recipe)──▶ Store          RunOptions ──engine()──▶ Engine
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.layout import Layout, default_root
from tonsai_pipeline.storage.store import Store


class Workspace(dg.ConfigurableResource):
    """Where data lies on this machine; it can change nothing but the place."""

    root: str = Field(default="", description="Data root; empty for TONSAI_HOME or ./tonsai_data")
    data: str = Field(default="", description="Folder that relative source paths start at")

    def store(self, recipe: Recipe) -> Store:
        """Open the store for a recipe."""
        root = Path(self.root).absolute() if self.root else default_root()
        return Store(Layout(root, recipe.name))

    def data_folder(self) -> Path:
        """Return the folder that relative source paths start at: `data`, TONSAI_DATA, or the working folder."""
        return Path(self.data or os.environ.get("TONSAI_DATA") or ".").absolute()


class RunOptions(dg.Config):
    """Settings of one run that cannot change its result."""

    num_workers: int = Field(default=0, ge=0, description="Parallel parts; 0 for every core")
    engine: Literal["local", "ray"] = Field(
        default="local", description="Process pool on this machine, or Ray tasks on a cluster"
    )
    force: bool = Field(default=False, description="Do the work again even if it is finished")

    def open_engine(self) -> Engine:
        """Return the engine; one a process, because its workers are costly to start."""
        return _engine(self.engine, self.num_workers)


@lru_cache
def _engine(name: str, num_workers: int) -> Engine:
    return open_engine(name, num_workers=num_workers or None)
