from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import detect_format, read, read_dump_file
from tonsai_pipeline.storage.dumps.records import BAD_ROW_REASONS, excerpt
from tonsai_pipeline_tests.storage.dumps.files import texts
from tonsai_pipeline_tests.storage.dumps.test_mediawiki import HEAD, page
from tonsai_pipeline_tests.storage.dumps.test_warc import wet

NUM_ROWS = 60
LINES = [b'{"text": "row %d"}' % row if row % 7 else b"broken" for row in range(NUM_ROWS)]


def _array() -> bytes:
    return json.dumps(
        [{"text": f"row {row}"} if row % 7 else row for row in range(NUM_ROWS)]
    ).encode()


def _parquet(path: Path) -> None:
    column = [f"row {row}" if row % 7 else None for row in range(NUM_ROWS)]
    pq.write_table(pa.table({"text": column}), path, row_group_size=7)


FILES: dict[str, Any] = {
    "a.jsonl.gz": lambda: gzip.compress(b"\n".join(LINES)),
    "a.json": _array,
    "b.json": lambda: b"\n".join(LINES[1:]),
    "a.csv": lambda: (
        b"text,n\n" + b"".join(b"row %d%s\n" % (n, b",1" * (n % 7 > 0)) for n in range(60))
    ),
    "a.txt": lambda: b"\n\n".join(b"row %d%s" % (n, b"" if n % 7 else b"\xff") for n in range(60)),
    "a.xml.bz2": lambda: bz2.compress(
        (
            HEAD + "".join(page(f"T{n}", f"row {n}", ns=n % 2) for n in range(60)) + "</mediawiki>"
        ).encode()
    ),
    "a.wet.gz": lambda: wet([b"row %d%s" % (n, b"" if n % 7 else b"\xff") for n in range(60)]),
}


@pytest.mark.parametrize("name", [*FILES, "a.parquet"])
@pytest.mark.parametrize("start_row", [1, 7, 8, 33, 59, 60, 1000])
def test_reading_from_a_row_gives_the_same_rows_as_reading_all(
    tmp_path: Path, name: str, start_row: int
) -> None:
    path = tmp_path / name
    if name == "a.parquet":
        _parquet(path)
    else:
        path.write_bytes(FILES[name]())
    rows = list(read_dump_file(str(path)))
    assert len(rows) >= 30
    assert list(read_dump_file(str(path), start_row=start_row)) == [
        row for row in rows if row.row >= start_row
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("A.JSONL.GZ", "jsonl"),
        ("s3://b/a.ndjson.zst", "jsonl"),
        ("a.json.xz", "json"),
        ("a.parquet", "parquet"),
        ("a.csv.bz2", "csv"),
        ("a.tsv", "tsv"),
        ("a.txt", "text"),
        ("kmwiki-20261101-pages-articles.xml.bz2", "mediawiki"),
        ("CC-MAIN-2026-00001.warc.wet.gz", "wet"),
        ("CC-MAIN-2026-00001.warc.gz", "warc"),
        ("hub://a/b?split=train", "hub"),
        ("a.zip", "zip"),
        ("a.tar.gz", "tar"),
        ("a.tgz", "tar"),
        ("a.tar.zst", "tar"),
    ],
)
def test_the_format_is_told_by_the_name(name: str, expected: str) -> None:
    assert detect_format(name) == expected


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.gz", "a.rar"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        DumpError, match=rf"^{name}: unknown file format; set the source's 'format'.*\.jsonl.*\.zst"
    ):
        detect_format(name)


def test_a_given_format_overrides_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\n")
    assert texts(path, format="text", text_layout="line") == ["one", "two"]


def test_every_reason_in_the_readers_is_on_the_list() -> None:
    folder = Path(__import__("tonsai_pipeline").__file__).parent / "storage" / "dumps"
    source = "".join(path.read_text() for path in folder.rglob("*.py") if path.name != "records.py")
    records = (folder / "records.py").read_text().partition("class RawRecord")[2]
    unused = [reason for reason in BAD_ROW_REASONS if f'"{reason}"' not in source + records]
    assert unused == []


@pytest.mark.parametrize("value", ["\ud800x", "a\0b", b"\xff\x00", "ក" * 2000, b"\xe1\x9e" * 2000])
def test_an_excerpt_is_short_and_fits_any_table(value: str | bytes) -> None:
    found = excerpt(value)
    assert 0 < len(found) <= 500
    assert "\0" not in found
    pa.array([found], pa.string()).to_pylist()


def test_the_documentation_names_every_reason_and_every_file_name_ending() -> None:
    document = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    assert [reason for reason in BAD_ROW_REASONS if f"`{reason}`" not in document] == []
    endings = document.partition("| `format` |")[2].partition("## Quarantine")[0]
    assert [suffix for suffix in read._BY_SUFFIX if suffix not in endings] == []
