"""`tonsai peek`: which rows a filter finds, and what a wrong filter is told."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.cli.peek import find_rows

TABLE = pa.table(
    {
        "doc_id": ["a", "b", "c", "d"],
        "lang": ["khm", "khm", "eng", "eng"],
        "num_words": pa.array([3, 20, 5, None], pa.int32()),
        "keep": [True, False, True, True],
    }
)


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "part-00000-00000.parquet", tmp_path / "part-00001-00000.parquet"]
    pq.write_table(TABLE.slice(0, 3), paths[0])
    pq.write_table(TABLE.slice(3), paths[1])
    return paths


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([], "abcd"),
        (["lang = 'khm'"], "ab"),
        (["lang=khm"], "ab"),
        (["lang != khm"], "cd"),
        (["num_words >= 5"], "bc"),
        (["num_words < 5"], "a"),
        (["num_words is null"], "d"),
        (["num_words is not null", "lang = eng"], "c"),
        (["keep = false"], "b"),
        (["doc_id ~ ^[bd]$"], "bd"),
    ],
)
def test_rows_that_meet_every_condition(parts: list[Path], where: list[str], found: str) -> None:
    assert "".join(find_rows(parts, where, None, 10).column("doc_id").to_pylist()) == found


def test_columns_in_the_order_asked_for_and_no_more_rows_than_asked_for(parts: list[Path]) -> None:
    found = find_rows(parts, ["keep = true"], ["num_words", "doc_id"], 2)
    assert found.to_pylist() == [{"num_words": 3, "doc_id": "a"}, {"num_words": 5, "doc_id": "c"}]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["language = khm"], "no column 'language'; there are doc_id, lang, num_words, keep"),
        (["num_words = many"], "num_words is a int32"),
        (["num_words between 1 and 3"], "write COLUMN = VALUE"),
        (["num_words ~ 3"], "~ is for text"),
    ],
)
def test_a_wrong_condition_is_told_what_there_is(
    parts: list[Path], where: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_rows(parts, where, None, 1)
