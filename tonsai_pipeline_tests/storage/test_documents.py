from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.documents import (
    count_rows,
    part_name,
    read_batches,
    read_part,
    write_part,
)

SCHEMA = pa.schema(
    [pa.field("id", pa.int64(), nullable=False), pa.field("text", pa.large_string())]
)


def batch(*texts: str | None, first: int = 0) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"id": range(first, first + len(texts)), "text": list(texts)}, schema=SCHEMA
    )


def test_batches_come_back_as_they_were_written_one_row_group_each(tmp_path: Path) -> None:
    path = tmp_path / part_name(3, 12)
    batches = [batch("ក", None), batch("b" * 3000, first=2), batch("", "d", first=3)]
    assert write_part(path, batches, SCHEMA) == 5
    assert path.name == "part-00003-00012.parquet"
    assert list(read_batches(path)) == batches
    assert read_part(path) == pa.Table.from_batches(batches)
    assert count_rows(path) == 5
    assert pq.read_metadata(path).num_row_groups == 3


def test_columns_can_be_picked(tmp_path: Path) -> None:
    write_part(tmp_path / "a", [batch("x", "y")], SCHEMA)
    assert read_part(tmp_path / "a", ["text"]).to_pydict() == {"text": ["x", "y"]}


def test_a_part_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    assert write_part(tmp_path / "a", [], SCHEMA) == 0
    assert read_part(tmp_path / "a").schema == SCHEMA
    assert read_part(tmp_path / "a", ["id"]).schema.names == ["id"]
    assert list(read_batches(tmp_path / "a")) == []


def test_columns_are_put_into_the_order_and_types_of_the_schema(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["x"]), "extra": [1], "id": pa.array([7], pa.int32())})
    write_part(tmp_path / "a", [table], SCHEMA)
    assert read_part(tmp_path / "a").schema == SCHEMA


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_part(tmp_path / name, [batch("x", "y" * 5000), batch("z", first=2)], SCHEMA)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failing_writer_leaves_nothing(tmp_path: Path) -> None:
    def batches() -> object:
        yield batch("x")
        raise RuntimeError("source failed")

    with pytest.raises(RuntimeError, match="source failed"):
        write_part(tmp_path / "a", batches(), SCHEMA)  # pyright: ignore[reportArgumentType]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "truncated", "not parquet", "page"])
def test_a_part_that_cannot_be_read_is_named_with_the_way_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "part-00000-00000.parquet"
    write_part(path, [batch(*(f"text {index}" for index in range(1000)))], SCHEMA)
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[:-10])
    elif damage == "not parquet":
        path.write_bytes(b"text")
    else:
        data[60:400] = b"\xff" * 340
        path.write_bytes(data)
    with pytest.raises(
        DataError, match=r"part-00000-00000\.parquet: not a readable part: .*run the stage"
    ):
        list(read_batches(path))
