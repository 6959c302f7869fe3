from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, read, texts


@pytest.mark.parametrize("suffix", ["", *COMPRESSIONS])
@pytest.mark.parametrize(("extension", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_rows_with_quotes_and_line_breaks_are_read(
    tmp_path: Path, extension: str, delimiter: str, suffix: str
) -> None:
    rows = [["url", "text", "n"], ["u1", 'a "b", c\td\ne', "1"], [], ["", "ខ្មែរ", "2"]]
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    path = tmp_path / f"a{extension}{suffix}"
    path.write_bytes(COMPRESSIONS.get(suffix, bytes)(stream.getvalue().encode("utf-8-sig")))
    good, bad = read(path)
    assert bad == []
    assert [tuple(row) for row in good] == [
        ('a "b", c\td\ne', 0, "u1", None, '{"n":"1"}'),
        ("ខ្មែរ", 1, "", None, '{"n":"2"}'),
    ]


def test_bad_rows_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"id,text\n1,good\n2,one,two\n3\n4,\xff\n5,a\0b\n6," + b"x" * 99 + b"\n7,last\n"
    )
    good, bad = read(path, max_document_bytes=50)
    assert [(row.text, row.row) for row in good] == [("good", 0), ("last", 6)]
    assert [(row.row, row.byte_offset, row.reason) for row in bad] == [
        (1, 15, "broken_csv"),
        (2, 25, "broken_csv"),
        (3, 27, "invalid_utf8"),
        (4, 31, "nul_character"),
        (5, 37, "too_long"),
    ]


def test_without_the_column_the_file_is_one_bad_row_that_lists_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,body\n1,a\n2,b\n")
    good, [bad] = read(path)
    assert (good, bad.reason) == ([], "missing_text_column")
    assert "id, body" in bad.detail
    assert texts(path, text_column="body") == ["a", "b"]


def test_a_quote_that_is_never_closed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,good\n2,"never closed\n3,swallowed\n')
    good, [bad] = read(path)
    assert [row.text for row in good] == ["good"]
    assert (bad.row, bad.byte_offset, bad.reason) == (1, 15, "broken_csv")


def test_a_quote_that_swallows_too_much_gives_up_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = "".join(f"{index},{'y' * 1000}\n" for index in range(3000))
    path.write_text(f'id,text\n1,good\n2,"never closed\n{lines}')
    good, bad = read(path, max_document_bytes=1000)
    assert good[0].text == "good"
    assert bad[0].reason == "too_long"
    assert len(good) > 1000


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))] * 2),
        max_size=8,
    ),
    delimiter=st.sampled_from([(",", "csv"), ("\t", "tsv")]),
)
def test_what_python_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: tuple[str, str],
) -> None:
    path = tmp_path_factory.mktemp("csv") / f"a.{delimiter[1]}"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter[0], lineterminator="\n")
        writer.writerow(["text", "other"])
        writer.writerows(rows)
    assert texts(path) == [text for text, _ in rows]
