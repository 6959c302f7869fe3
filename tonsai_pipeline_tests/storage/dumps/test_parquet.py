from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.storage.dumps.records import Tally
from tonsai_pipeline_tests.storage.dumps.files import read, texts


def write(path: Path, columns: dict[str, pa.Array | list[object]], **options: object) -> None:
    pq.write_table(pa.table(columns), path, **options)  # pyright: ignore[reportArgumentType]


TEXTS = ["ក", "b\nc", ""]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_text_is_read_from_every_kind_of_string_column(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "a.parquet"
    column = pa.array(TEXTS, pa.string()).cast(kind)
    write(path, {"text": column, "url": TEXTS, "n": [1, None, 3]})
    good, bad = read(path)
    assert bad == []
    assert [tuple(row) for row in good] == [
        ("ក", 0, "ក", None, '{"n":1}'),
        ("b\nc", 1, "b\nc", None, '{"n":null}'),
        ("", 2, "", None, '{"n":3}'),
    ]


def test_nulls_and_bytes_that_are_not_utf8_are_bad_rows(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff", None, b"last"], pa.binary())
    column = pa.StringArray.from_buffers(4, *raw.buffers()[1:], raw.buffers()[0], null_count=1)
    path = tmp_path / "a.parquet"
    write(path, {"text": column})
    good, bad = read(path)
    assert [(row.text, row.row) for row in good] == [("good", 0), ("last", 3)]
    assert [(row.row, row.reason) for row in bad] == [(1, "invalid_utf8"), (2, "missing_text")]


def test_without_the_column_the_file_is_one_bad_row_for_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, {"id": [1, 2], "body": ["a", "b"]})
    good, [bad] = read(path)
    assert (good, bad.reason, bad.num_rows) == ([], "missing_text_column", 2)
    assert "id, body" in bad.detail
    assert texts(path, text_column="body") == ["a", "b"]


def test_a_nested_column_is_reached_by_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, {"doc": [{"body": "a", "n": 1}]})
    assert texts(path, text_column="doc.body") == ["a"]


def test_a_truncated_file_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, {"text": ["a"] * 100})
    path.write_bytes(path.read_bytes()[:-20])
    good, [bad] = read(path)
    assert (good, bad.row, bad.reason) == ([], 0, "corrupt_file")


def test_a_damaged_row_group_costs_only_its_own_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(
        path,
        {"text": [f"text {index}" for index in range(3000)]},
        row_group_size=1000,
        compression="zstd",
    )
    column = pq.read_metadata(path).row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    good, [bad] = read(path)
    assert [row.row for row in good] == [*range(1000), *range(2000, 3000)]
    assert (bad.row, bad.reason, bad.num_rows) == (1000, "corrupt_row_group", 1000)


def test_values_that_json_has_no_word_for_are_kept_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(
        path, {"text": ["a"], "image": pa.array([b"\x00\x01"]), "day": pa.array([0], pa.date32())}
    )
    [row] = read(path)[0]
    assert row.meta == '{"image":"<2 bytes>","day":"1970-01-01"}'


def bad_strings(values: list[bytes]) -> pa.Array:
    """Strings that are not UTF-8, as other writers leave them."""
    raw = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(values), *raw.buffers()[1:])


HOSTILE = {
    "a date after the year 9999": pa.array([2932897, 0, 1], pa.date32()),
    "a time after the year 9999": pa.array([2**58, 0, 1], pa.timestamp("ms")),
    "a duration beyond Python's": pa.array([2**62, 0, 1], pa.duration("s")),
    "nanoseconds": pa.array([1, 0, 1], pa.timestamp("ns")),
    "bad bytes in a list": pa.ListArray.from_arrays(
        [0, 1, 2, 3], bad_strings([b"\xff", b"a", b"b"])
    ),
    "bad bytes in a struct": pa.StructArray.from_arrays(
        [bad_strings([b"\xff", b"a", b"b"])], ["s"]
    ),
    "bad bytes in a map": pa.MapArray.from_arrays(
        [0, 1, 2, 3], bad_strings([b"\xff", b"a", b"b"]), pa.array([1, 2, 3])
    ),
    "a decimal": pa.array(["1.5", "2", "3"]).cast(pa.decimal128(5, 2)),
    "not a number": pa.array([float("nan"), float("inf"), 1.0]),
    "half precision": pa.array([1.5, 2.5, 3.5], pa.float32()).cast(pa.float16()),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_bad_value_beside_the_text_costs_its_field_and_is_counted(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a.parquet"
    write(path, {"id": [1, 2, 3], "odd": HOSTILE[kind], "text": TEXTS})
    tally = Tally()
    assert texts(path, tally=tally) == TEXTS
    records = [json.loads(row.meta or "{}") for row in read(path)[0]]
    assert [record["id"] for record in records] == [1, 2, 3]
    assert tally.left_out["odd"] == sum("odd" not in record for record in records) <= 1
    assert all("odd" in record for record in records[1:])


def test_of_two_columns_of_one_name_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table([["a"], [1], ["b"], [2]], names=["text", "id", "text", "id"])
    pq.write_table(table, path)
    tally = Tally()
    assert texts(path, tally=tally) == ["a"]
    assert read(path)[0][0].meta == '{"id":1}'
    assert tally.left_out == {"text": 1, "id": 1}


def test_bad_bytes_in_another_string_column_cost_that_field(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, {"text": ["a", "b"], "note": bad_strings([b"\xff", b"ok"])})
    tally = Tally()
    assert texts(path, tally=tally) == ["a", "b"]
    assert [row.meta for row in read(path)[0]] == [None, '{"note":"ok"}']
    assert tally.left_out == {"note": 1}


def test_damage_in_another_column_costs_that_column_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(
        path,
        {"n": list(range(3000)), "text": [f"text {n}" for n in range(3000)]},
        compression="zstd",
    )
    column = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    tally = Tally()
    assert texts(path, tally=tally) == [f"text {n}" for n in range(3000)]
    assert tally.left_out == {"n": 3000}


def test_a_nested_text_is_read_though_its_neighbours_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    doc = pa.StructArray.from_arrays(
        [pa.array(["a", None, "c"]), bad_strings([b"\xff", b"a", b"b"])], ["body", "x"]
    )
    write(path, {"doc": doc})
    good, [bad] = read(path, text_column="doc.body")
    assert [row.text for row in good] == ["a", "c"]
    assert (bad.row, bad.reason, "null" in bad.detail) == (1, "missing_text", True)
