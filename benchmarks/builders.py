"""Recipe, folder -> a builder of the product's stages in it; names of assets -> artifacts, seconds, peak memory."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.lineage.builder import all_dumps
from tonsai_pipeline.pipeline import dumps_on_disk, open_builder
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store


def open_in(root: Path, recipe: Recipe) -> Builder:
    """Return a builder with its store below `root`, which works in this process alone."""
    store = Store(Layout(root, recipe.name))
    engine = open_engine("local", num_workers=1)
    return open_builder(recipe, store, dumps_on_disk(recipe, store, root), engine=lambda: engine)


def build(builder: Builder, assets: Iterable[str]) -> dict[str, float]:
    """Build assets, those of single dumps for every dump; return the wall seconds of each."""
    seconds = {}
    for name in assets:
        started = time.perf_counter()
        for dump in all_dumps(builder.dumps.versions, builder.pipeline[name]):
            builder.build(name, dump)
        seconds[name] = time.perf_counter() - started
    return seconds


def read_table(builder: Builder, stage: str, *columns: str, folder: str = ".") -> pa.Table:
    """Return a table of a stage over all dumps and parts, in catalog order; without columns all of them."""
    parts = [
        path for dump in builder.dumps.versions for path in builder.build(stage, dump).parts(folder)
    ]
    return pa.concat_tables(read_part(path, list(columns) or None) for path in parts)


def peak_mb() -> float:
    """Return the peak resident memory of this program.

    Not `ru_maxrss`: a process takes that over from the one that started it.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
