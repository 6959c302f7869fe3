from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, jsonl, read, texts

RECORDS = [
    {"text": "ភ្នំពេញ", "url": "https://a.example/1", "title": "One", "views": 3},
    {"text": "two\nlines"},
    {"text": ""},
]


@pytest.mark.parametrize("suffix", ["", *COMPRESSIONS])
def test_text_url_title_and_other_fields_come_out_as_they_went_in(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(COMPRESSIONS.get(suffix, bytes)(jsonl(RECORDS)))
    good, bad = read(path)
    assert bad == []
    assert [tuple(row) for row in good] == [
        ("ភ្នំពេញ", 0, "https://a.example/1", "One", '{"views":3}'),
        ("two\nlines", 1, None, None, None),
        ("", 2, None, None, None),
    ]


BAD_LINES = [
    (b'{"text": "cut', "broken_json"),
    (b"not json", "broken_json"),
    (b"[1, 2]", "not_an_object"),
    (b'{"body": "x"}', "missing_text"),
    (b'{"text": null}', "missing_text"),
    (b'{"text": 5}', "text_not_string"),
    (b'{"text": ["x"]}', "text_not_string"),
    (b'{"text": "\xff"}', "invalid_utf8"),
    (b'{"text": "a\\u0000b"}', "nul_character"),
    (b'{"text": "a\\ud800b"}', "lone_surrogate"),
    (b'{"text": "' + b"x" * 2000 + b'"}', "too_long"),
    (b'{"text": ' + b"[" * 200_000, "broken_json"),
]


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES, ids=[f"{r}-{i}" for i, (_, r) in enumerate(BAD_LINES)]
)
def test_a_bad_line_is_named_and_the_next_line_is_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "first"}\n' + line + b'\n{"text": "last"}\n')
    good, [bad] = read(path, max_document_bytes=1000)
    assert [(row.text, row.row) for row in good] == [("first", 0), ("last", 2)]
    assert (bad.row, bad.byte_offset, bad.reason) == (1, 18, reason)
    assert bad.detail
    assert 0 < len(bad.excerpt) <= 500


def test_blank_lines_are_no_records_and_windows_line_ends_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n   \n{"text": "b"}')
    good, bad = read(path)
    assert [(row.text, row.row) for row in good] == [("a", 0), ("b", 1)]
    assert bad == []


def test_numbers_that_only_python_writes_do_not_cost_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "a", "score": NaN, "id": {2**70}}}\n')
    [row] = read(path)[0]
    assert row.text == "a"
    assert json.loads(row.meta or "")["id"] == 2**70


def test_a_nested_text_field_is_reached_by_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl([{"doc": {"body": "a", "lang": "km"}}]))
    [row] = read(path, text_column="doc.body")[0]
    assert (row.text, row.meta) == ("a", '{"doc":{"lang":"km"}}')


def test_a_utf16_file_is_one_bad_row_that_says_how_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "a"}\n'.encode("utf-16"))
    good, [bad] = read(path)
    assert good == []
    assert bad.reason == "invalid_utf8"
    assert "iconv" in bad.detail


def test_real_files_are_read_whole(real_data: Path) -> None:
    assert len(texts(real_data / "khm" / "wikipedia.jsonl.gz")) == 1819
    assert (
        sum(len(text.encode()) for text in texts(real_data / "khm" / "news.jsonl.gz")) == 3_674_492
    )
