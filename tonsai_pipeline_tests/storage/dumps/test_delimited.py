from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.storage.dumps.records import Dialect, Tally
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
    good, bad = read(path, dialect=Dialect(quoting="minimal"))
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


def test_a_quote_that_is_never_closed_costs_its_own_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,good\n2,"never closed\n3,after\n')
    good, [bad] = read(path)
    assert [(row.text, row.row) for row in good] == [("good", 0), ("after", 2)]
    assert (bad.row, bad.byte_offset, bad.reason) == (1, 15, "broken_csv")
    assert "never closed" in bad.detail


@pytest.mark.parametrize(
    "other", ["plain text", 'a "quoted" word', '"in quotes, with a comma"', '"two\nlines"']
)
@pytest.mark.parametrize("place", [0, 1, 500, 998, 999])
def test_one_open_quote_in_a_thousand_rows_costs_one_row(
    tmp_path: Path, place: int, other: str
) -> None:
    rows = [f"{index},{other}" for index in range(1000)]
    rows[place] = f'{place},"opened and never closed'
    path = tmp_path / "a.csv"
    path.write_text("id,text\n" + "\n".join(rows) + "\n")
    good, bad = read(path)
    assert len(good) == 999
    assert [row.reason for row in bad] == ["broken_csv"]
    assert {row.text for row in good} == {other.strip('"')}


def test_many_open_quotes_cost_one_row_each(tmp_path: Path) -> None:
    rows = [
        f'{index},"open {index}' if index % 10 == 3 else f"{index},text" for index in range(1000)
    ]
    path = tmp_path / "a.csv"
    path.write_text("id,text\n" + "\n".join(rows) + "\n")
    good, bad = read(path)
    assert (len(good), len(bad)) == (900, 100)


def test_text_behind_a_closing_quote_is_reported_and_never_glued(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"He said \\"hi\\" loudly"\n2,"a" b\n3,"fine"\n4,5" wide\n')
    good, bad = read(path)
    assert [row.text for row in good] == ["fine", '5" wide']
    assert [(row.row, row.reason) for row in bad] == [(0, "broken_csv"), (1, "broken_csv")]
    good, bad = read(path, dialect=Dialect(escape="\\"))
    assert [row.text for row in good] == ['He said "hi" loudly', "fine", '5" wide']
    assert [row.row for row in bad] == [1]


def test_quotes_are_text_in_tsv_unless_the_dialect_says_otherwise(tmp_path: Path) -> None:
    texts_in = ['"ខ្មែរ" ជា', '"open', 'say "x"', '"whole"', "a\rb", ""]
    path = tmp_path / "a.tsv"
    path.write_text(
        "id\ttext\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(texts_in)), newline=""
    )
    assert texts(path) == texts_in
    path.write_text('id\ttext\n1\t"a\tb\nc"\n')
    assert texts(path, dialect=Dialect(quoting="minimal")) == ["a\tb\nc"]


def test_another_delimiter_is_proposed_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id;text\n1;a, b\n2;c\n")
    good, [bad] = read(path)
    assert (good, bad.reason, bad.num_rows) == ([], "missing_text_column", 2)
    assert "a semicolon: set the source's delimiter" in bad.detail
    assert texts(path, dialect=Dialect(delimiter=";")) == ["a, b", "c"]


def test_joined_files_repeat_their_header_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfid,text\r\n1,a\r\n" + b"\xef\xbb\xbfid,text\r\n2,b\r\n")
    tally = Tally()
    assert texts(path, tally=tally) == ["a", "b"]
    assert tally.skipped == {"repeated_header": 1}
    assert [row.row for row in read(path)[0]] == [0, 2]


def test_of_two_columns_of_one_name_the_first_counts_and_bad_bytes_beside_the_text_are_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,id,text\n1,2,a\n\xff,3,b\n")
    tally = Tally()
    good, bad = read(path, tally=tally)
    assert bad == []
    assert [(row.text, row.meta) for row in good] == [("a", '{"id":"1"}'), ("b", None)]
    assert tally.left_out == {"id": 3}


def test_a_file_cut_inside_its_last_row_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,url\n1,a,x\n2,b")
    good, [bad] = read(path)
    assert [row.text for row in good] == ["a"]
    assert (bad.row, bad.reason, bad.lost_bytes) == (1, "truncated_file", None)


def test_a_quote_that_swallows_too_much_gives_up_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = "".join(f"{index},{'y' * 1000}\n" for index in range(3000))
    path.write_text(f'id,text\n1,good\n2,"never closed\n{lines}')
    good, [bad] = read(path, max_document_bytes=1000)
    assert len(good) == 3001
    assert (bad.row, bad.reason) == (1, "broken_csv")


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"))] * 2),
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
    rows = [row for row in rows if row != ("text", "other")]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter[0], lineterminator="\n")
        writer.writerow(["text", "other"])
        writer.writerows(rows)
    assert texts(path, dialect=Dialect(quoting="minimal")) == [text for text, _ in rows]
