from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_text_is_read_from_every_kind_of_string_column(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "a.parquet"
    column = pa.array(TEXTS, pa.string()).cast(kind)
    write(path, {"text": column, "url": TEXTS, "n": [1, None, 3]})
    good, bad = read(path)
    if kind == pa.binary():
        assert [row.reason for row in bad] == ["text_not_string"] * 3
    else:
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
