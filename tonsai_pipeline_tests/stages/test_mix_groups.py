"""Group sizes of the whole corpus: each dump has its own, and its own digest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.schema import DUPLICATE_GROUPS
from tonsai_pipeline.stages.mix.groups import group_sizes, read_group_sizes
from tonsai_pipeline.storage.documents import write_part
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.stages.deduplication import House, corpus

ROWS = [
    ("b@20260101", "p1", 4, 9),
    ("a@20260101", "p2", 0, 2),
    ("a@20260101", "p1", 7, 3),
    ("a@20260101", "p1", 2, 5),
]


def scored(store: Store, rows: list[tuple[str, str, int, int]]) -> Artifact:
    def make(folder: Path) -> dict[str, int]:
        dumps, parts, places, sizes = zip(*rows, strict=True)
        columns = [dumps, parts, places, ["id"] * len(rows), sizes, [1] * len(rows)]
        table = pa.table(
            dict(zip(DUPLICATE_GROUPS.names, columns, strict=True)), schema=DUPLICATE_GROUPS
        )
        write_part(folder / "groups.parquet", [table], DUPLICATE_GROUPS)
        return {}

    return store.materialize(
        "scored_documents", None, make, stage_version="test", settings={}, inputs={"is": str(rows)}
    )


def test_a_row_without_a_group_stands_for_itself(store: Store) -> None:
    sizes = read_group_sizes(scored(store, ROWS))
    kept = pa.table({"row_in_part": pa.array([0, 2, 3, 7, 8], pa.int32())})
    assert group_sizes(sizes["a@20260101"].by_part.get("p1"), kept).tolist() == [1, 5, 1, 3, 1]
    assert group_sizes(sizes["a@20260101"].by_part.get("p2"), kept).tolist() == [2, 1, 1, 1, 1]
    assert group_sizes(sizes["b@20260101"].by_part.get("p2"), kept).tolist() == [1] * 5


def test_only_the_dump_whose_groups_grew_has_another_digest(store: Store) -> None:
    before = read_group_sizes(scored(store, ROWS))
    after = read_group_sizes(scored(store, [("b@20260101", "p1", 4, 10), *ROWS[1:]]))
    assert before["a@20260101"].digest == after["a@20260101"].digest
    assert before["b@20260101"].digest != after["b@20260101"].digest


def test_a_page_of_two_dumps_counts_both(tmp_path: Path) -> None:
    house = House(tmp_path)
    texts = corpus(4, {"a@20260101": 60, "b@20260101": 60})
    artifact = house.deduplicate(texts)
    copies = [row for row in artifact.dropped() if row["kept_dump"] == "a@20260101"]
    assert any(row["doc_id"].startswith("b@20260101") for row in copies)
    ((part, (rows, sizes)),) = read_group_sizes(artifact)["a@20260101"].by_part.items()
    expected = dict.fromkeys(rows.tolist(), 1)
    for row in copies:
        assert row["kept_part"] == part
        expected[row["kept_row_in_part"]] += 1
    assert dict(zip(rows.tolist(), sizes.tolist(), strict=True)) == expected


def test_scored_documents_without_groups_are_named(store: Store) -> None:
    bare = store.materialize(
        "scored_documents", None, lambda _: {}, stage_version="test", settings={}, inputs={}
    )
    with pytest.raises(DataError, match=r"groups\.parquet: no such file; materialize scored_docu"):
        read_group_sizes(bare)
