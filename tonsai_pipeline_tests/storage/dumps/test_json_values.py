from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.storage.dumps import json_values
from tonsai_pipeline.storage.dumps.json_values import split_values
from tonsai_pipeline.storage.dumps.streams import open_stream
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
