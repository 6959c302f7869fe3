"""Group sizes of the whole corpus: each dump has its own, and its own version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Stage
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.schema import DUPLICATE_GROUPS
from tonsai_pipeline.stages.mix.groups import STAGE, group_sizes, read_group_sizes
from tonsai_pipeline.storage.documents import write_part
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.stages.harness import Workshop

ROWS = [
    ("b@20260101", "p1", 4, 9),
    ("a@20260101", "p2", 0, 2),
    ("a@20260101", "p1", 7, 3),
    ("a@20260101", "p1", 2, 5),
]


def rules(
    store: Store, engine: Engine, rows: list[tuple[str, str, int, int]], rehydrate: bool = True
) -> dict[str, Artifact]:
    """Return what the corpus says about each dump, by its key."""

    def groups(folder: Path, *, engine: Engine) -> dict[str, int]:
        dumps, parts, places, sizes = zip(*rows, strict=True)
        columns = [dumps, parts, places, ["id"] * len(rows), sizes, [1] * len(rows)]
        table = pa.table(
            dict(zip(DUPLICATE_GROUPS.names, columns, strict=True)), schema=DUPLICATE_GROUPS
        )
        write_part(folder / "groups.parquet", [table], DUPLICATE_GROUPS)
        return {}

    def scored(folder: Path, *, engine: Engine) -> dict[str, int]:
        write_json(folder / "histograms.json", {})
        return {}

    stages = (
        Stage("deduplicated_documents", str(rows), groups, part_of="invented"),
        Stage("scored_documents", "test", scored, part_of="invented"),
        STAGE,
    )
    config = MixtureConfig(rehydrate={2: 2.0} if rehydrate else {})
    builder = Workshop(store, engine, stages).builder(
        {"a@20260101": 1, "b@20260101": 2}, mixture=config
    )
    return {key: builder.build("mixture_rules", key) for key in builder.dumps.versions}


def test_a_row_without_a_group_stands_for_itself(store: Store, engine: Engine) -> None:
    sizes = {key: read_group_sizes(one) for key, one in rules(store, engine, ROWS).items()}
    kept = pa.table({"row_in_part": pa.array([0, 2, 3, 7, 8], pa.int32())})
    assert group_sizes(sizes["a@20260101"].get("p1"), kept).tolist() == [1, 5, 1, 3, 1]
    assert group_sizes(sizes["a@20260101"].get("p2"), kept).tolist() == [2, 1, 1, 1, 1]
    assert group_sizes(sizes["b@20260101"].get("p2"), kept).tolist() == [1] * 5


@pytest.mark.parametrize("rehydrate", [True, False])
def test_only_the_dump_whose_groups_grew_is_another_version(
    store: Store, engine: Engine, rehydrate: bool
) -> None:
    grown = [("b@20260101", "p1", 4, 10), *ROWS[1:]]
    before, after = (
        {key: one.data_version for key, one in rules(store, engine, rows, rehydrate).items()}
        for rows in (ROWS, grown)
    )
    assert before["a@20260101"] == after["a@20260101"]
    assert (before["b@20260101"] == after["b@20260101"]) is not rehydrate
