from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.storage.dumps import read_dump_file
from tonsai_pipeline.storage.dumps.compression.streams import open_stream
from tonsai_pipeline.storage.dumps.tables import json_values
from tonsai_pipeline.storage.dumps.tables.json_values import split_values
from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, read, texts

RECORDS = [{"text": 'a [b] {c}, "d\\'}, {"text": "ខ្មែរ", "n": [1, {"x": "}"}]}, {"text": "end"}]
EXPECTED = [record["text"] for record in RECORDS]

FORMS = {
    "an array": json.dumps(RECORDS),
    "an indented array": json.dumps(RECORDS, indent=2, ensure_ascii=False),
    "one record a line": "\n".join(json.dumps(record) for record in RECORDS),
    "indented objects in a row": "\n".join(json.dumps(record, indent=1) for record in RECORDS),
    "an array with a line break first": " \n" + json.dumps(RECORDS),
}


@pytest.mark.parametrize("suffix", ["", *COMPRESSIONS])
@pytest.mark.parametrize("form", FORMS)
def test_every_habit_of_json_files_is_read(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / f"a.json{suffix}"
    path.write_bytes(COMPRESSIONS.get(suffix, bytes)(FORMS[form].encode()))
    assert texts(path) == EXPECTED


def test_a_broken_element_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"}, {"text": oops}, 7, {"text": "b"}]')
    good, bad = read(path)
    assert [(row.text, row.row) for row in good] == [("a", 0), ("b", 3)]
    assert [(row.row, row.byte_offset, row.reason) for row in bad] == [
        (1, 16, "broken_json"),
        (2, 32, "not_an_object"),
    ]


@pytest.mark.parametrize(
    ("content", "num_good"),
    [('[{"text": "a"}, {"text": "b', 1), ('[{"text": "a"}', 1), ('[{"text": "a"},', 1), ("[", 0)],
)
def test_an_array_that_never_ends_is_truncated(tmp_path: Path, content: str, num_good: int) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    good, [bad] = read(path)
    assert len(good) == num_good
    assert (bad.row, bad.reason) == (num_good, "truncated_file")


def test_a_truncated_archive_of_an_array_gives_one_bad_row(tmp_path: Path) -> None:
    records = [{"text": f"{index} " + "x" * (index % 97)} for index in range(3000)]
    packed = COMPRESSIONS[".gz"](json.dumps(records).encode())
    path = tmp_path / "a.json.gz"
    path.write_bytes(packed[: len(packed) // 2])
    good, [bad] = read(path)
    assert [row.text for row in good] == [record["text"] for record in records[: len(good)]]
    assert 0 < len(good) < 3000
    assert (bad.row, bad.reason) == (len(good), "truncated_file")


def test_an_element_of_any_length_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "a"}, {"text": "x" * (5 << 20)}, {"text": "b"}]))
    good, [bad] = read(path, max_document_bytes=1000)
    assert [row.text for row in good] == ["a", "b"]
    assert (bad.row, bad.reason) == (1, "too_long")


FAULTS = {
    "a stray quote": lambda line: line.replace("text 5", 'text " 5'),
    "two stray quotes": lambda line: line.replace("text 5", '"text" 5'),
    "no closing quote": lambda line: line.replace('"}', "}"),
    "no closing bracket": lambda line: line.replace('"}', '"'),
    "a bracket too many": lambda line: line.replace('"}', '"}}'),
    "a square bracket": lambda line: line.replace('{"id"', '[{"id"'),
    "a stray closing square bracket": lambda line: line.replace('"}', '"}]'),
    "no value": lambda line: line.replace('"id": 5', '"id": '),
    "a line break in a string": lambda line: line.replace("text 5", "text\n5"),
}


@pytest.mark.parametrize("place", [0, 500, 999])
@pytest.mark.parametrize("layout", [", ", ",\n", "\n", " "])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_record_costs_itself_and_at_most_its_neighbour(
    tmp_path: Path, fault: str, layout: str, place: int
) -> None:
    lines = [json.dumps({"id": 5, "text": f"text 5 of {index}"}) for index in range(1000)]
    lines[place] = FAULTS[fault](lines[place])
    content = layout.join(lines)
    path = tmp_path / "a.json"
    path.write_text(f"[{content}]" if "," in layout else content)
    good, bad = read(path)
    found = {row.text for row in good}
    lost = {f"text 5 of {index}" for index in range(1000)} - found
    neighbours = {f"text 5 of {index}" for index in (place, place + 1)}
    assert lost <= neighbours, (fault, len(lost))
    assert bad or len(good) == 1000, fault
    assert len(good) + len(bad) >= 999
    assert all(row.lost_bytes == 0 or row.reason == "truncated_file" for row in bad)
    again = list(read_dump_file(str(path), start_row=place + 1))
    assert again == [row for row in read_dump_file(str(path)) if row.row > place]


def test_nested_objects_that_begin_alike_stay_in_their_record(tmp_path: Path) -> None:
    nested = {"text": "outer", "replies": [{"text": "inner 1"}, {"text": "inner 2"}]}
    lines = [json.dumps(nested) for _ in range(10)]
    lines[2] = lines[2].replace("outer", 'out"er')
    path = tmp_path / "a.json"
    path.write_text("[" + ", ".join(lines) + "]")
    good, _ = read(path)
    assert [row.text for row in good if row.row >= 4] == ["outer"] * 7


def test_every_record_broken_in_a_long_file_takes_linear_time(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"text {index}"})[:-1] for index in range(20_000)]
    path = tmp_path / "a.json"
    path.write_text("[" + ", ".join(lines) + "]")
    start = time.perf_counter()
    good, bad = read(path)
    assert (good, len(bad) > 0) == ([], True)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("seam", ["", "\n", "\ufeff", "\n\ufeff"])
def test_joined_arrays_are_one_dump(tmp_path: Path, seam: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(RECORDS) + seam + json.dumps(RECORDS, indent=1))
    assert texts(path) == EXPECTED * 2


@pytest.mark.parametrize("form", FORMS)
def test_json_of_any_habit_is_read_whatever_its_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(FORMS[form])
    assert texts(path) == EXPECTED


def test_objects_that_share_a_line_are_records_each(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "a"}{"text": "}{"}\n\ufeff{"text": "c"} {"text": "d"}\n{"text": "e"}{"te'
    )
    good, [bad] = read(path)
    assert [(row.text, row.row) for row in good] == [("a", 0), ("}{", 1), ("c", 2), ("d", 3)]
    assert (bad.row, bad.reason) == (4, "truncated_file")
    assert [row.row for row in read(path, start_row=3)[0]] == [3]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(JSON_VALUES, max_size=6),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
    chunk_bytes=st.integers(1, 9),
)
def test_splitting_agrees_with_parsing_the_whole_array(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[object],
    indent: int | None,
    ascii_only: bool,
    chunk_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    content = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch, open_stream(str(path)) as stream:
        patch.setattr(json_values, "_CHUNK_BYTES", chunk_bytes)
        pieces = list(split_values(stream, 1 << 20))
    assert all(piece.complete for piece in pieces)
    assert [json.loads(piece.data.decode("utf-8", "surrogatepass")) for piece in pieces] == values
    assert [content[piece.offset : piece.offset + len(piece.data)] for piece in pieces] == [
        piece.data for piece in pieces
    ]
