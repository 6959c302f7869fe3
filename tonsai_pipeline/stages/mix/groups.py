"""What the whole corpus says about one dump -> a small artifact, so that a new dump mixes again only what it touches.

    groups of duplicates ──those of the dump──▶ groups.parquet ──for rows of a part──▶ group sizes
    histograms of scores ──────────────────────▶ borders.json

The keep-list of a dump counts the copies in that dump alone, for it must not change when a dump is added. Rehydration
wants all copies: a page that ten crawls have is read more often than a page of one. Where the recipe asks for neither
buckets nor rehydration the artifact is empty and always the same.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Fields, Stage, this_dump, whole
from tonsai_pipeline.quality.evaluation import quantile_borders
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.schema import DUPLICATE_GROUPS, DumpKey
from tonsai_pipeline.stages.deduplicate.summary import GROUPS_FILE
from tonsai_pipeline.storage.documents import read_part, write_part
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.store import Artifact

_BORDERS_FILE = "borders.json"
#: Rows of a part that stand for a group, ascending, and its size.
Sizes = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


def group_sizes(groups: Sizes | None, kept: pa.Table) -> npt.NDArray[np.int32]:
    """Return the group size of every row of a part of scored_documents, 1 where there is no group."""
    sizes = np.ones(kept.num_rows, dtype=np.int32)
    if groups is not None:
        rows, found = groups
        wanted = kept.column("row_in_part").to_numpy()
        place = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
        is_in = rows[place] == wanted
        sizes[is_in] = found[place[is_in]]
    return sizes


def read_group_sizes(rules: Artifact) -> dict[str, Sizes]:
    """Return the group sizes of a dump by part name; empty where rehydration is off."""
    path = rules.path / GROUPS_FILE
    if not path.is_file():
        return {}
    table = read_part(path)
    rows, sizes = (table.column(name).to_numpy() for name in ("row_in_part", "group_size"))
    found, start = {}, 0
    for part, members in groupby(table.column("part").to_pylist()):
        stop = start + sum(1 for _ in members)
        found[part] = (rows[start:stop].copy(), sizes[start:stop].copy())
        start = stop
    return found


def read_borders(rules: Artifact) -> dict[str, list[float]]:
    """Return the borders of the quality buckets by language; empty where there are none."""
    return cast("dict[str, list[float]]", read_json(rules.path / _BORDERS_FILE))


def write_rules(
    scored: Artifact,
    deduplicated: Artifact,
    folder: Path,
    *,
    config: MixtureConfig,
    dump: DumpKey,
    engine: Engine,
) -> dict[str, int]:
    """Write what the corpus says about a dump.

    Args:
        scored: scored_documents.
        deduplicated: deduplicated_documents.
        folder: The building folder.
        config: Of the recipe's `mixture` section: buckets and rehydration.
        dump: The dump.
        engine: Not used: the tables are small.
    """
    del engine
    num_buckets = len(config.bucket_repeats)
    histograms = cast("dict[str, list[int]]", read_json(scored.path / "histograms.json"))
    borders = {
        language: quantile_borders(histograms.get(f"{language}/kept", []), num_buckets)
        for language in ("khm", "eng")
        if num_buckets > 1 and histograms.get(f"{language}/kept")
    }
    write_json(folder / _BORDERS_FILE, borders)
    if not config.rehydrate:
        return {"num_groups": 0}
    table = read_part(deduplicated.path / GROUPS_FILE)
    is_mine = [key == dump for key in table.column("dump").to_pylist()]
    mine = table.filter(pa.array(is_mine, pa.bool_()))
    mine = mine.sort_by([(name, "ascending") for name in ("part", "row_in_part")])
    write_part(folder / GROUPS_FILE, [mine], DUPLICATE_GROUPS)
    return {"num_groups": mine.num_rows}


STAGE = Stage(
    "mixture_rules",
    version="1",
    make=write_rules,
    each_dump=True,
    part_of="training_mixture",
    fields={"config": Fields("mixture", only=("bucket_repeats", "rehydrate"))},
    reads={
        "scored": whole("scored_documents"),
        "deduplicated": whole("deduplicated_documents"),
        "dump": this_dump(),
    },
)
