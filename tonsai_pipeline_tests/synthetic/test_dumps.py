"""The files: same bytes each time, opened by the libraries the world opens them with, and true to the truth."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib

import mwparserfromhell
import pyarrow.parquet as pq
import pytest
import zstandard
from warcio.archiveiterator import ArchiveIterator

from tonsai_pipeline.storage.dumps import RawRecord, read_dump_file
from tonsai_pipeline.storage.dumps.web.wikitext import strip_markup
from tonsai_pipeline.synthetic.corpus import plan_dumps
from tonsai_pipeline.synthetic.dumps import TRUNCATED_DUMP, dump_bytes, write_synthetic_dumps
from tonsai_pipeline.synthetic.mediawiki import wikitext
from tonsai_pipeline.synthetic.truth import Kind, SyntheticTruth

SEED, SCALE = 3, 0.05


@pytest.fixture(scope="module")
def planned():
    return {row.truth.id: row for dump in plan_dumps(SEED, SCALE) for row in dump.rows}


def _jsonl(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\n").split(b"\n")


def test_the_same_seed_writes_the_same_bytes(small_sample, tmp_path):
    folder, truth = small_sample
    assert write_synthetic_dumps(tmp_path / "again", seed=SEED, scale=SCALE) == truth
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_bytes_do_not_depend_on_the_process(small_sample, tmp_path):
    folder, _ = small_sample
    code = (
        "import sys, pathlib; from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps; "
        f"write_synthetic_dumps(pathlib.Path(sys.argv[1]), seed={SEED}, scale={SCALE})"
    )
    # Another hash seed orders sets another way.
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_dumps_are_named_by_source_and_date(small_sample):
    folder, truth = small_sample
    files = {path.name for path in folder.iterdir()} - {"truth.jsonl"}
    assert files == {document.file for document in truth}
    assert len(files) == 10
    for document in truth:
        assert document.file.startswith(f"{document.dump}.")
        assert document.dump.startswith(f"{document.id.rpartition('-')[0].rpartition('-')[0]}@")


def test_the_truth_is_written_beside_the_dumps(small_sample):
    folder, truth = small_sample
    assert SyntheticTruth.read(folder / "truth.jsonl") == truth


@pytest.mark.parametrize(
    ("file", "decompress"),
    [
        ("khm_news@20260901.jsonl.gz", gzip.decompress),
        ("khm_web@20261001.jsonl.zst", lambda data: zstandard.ZstdDecompressor().decompress(data)),
        ("khm_junk@20260901.jsonl", bytes),
        ("eng_junk@20260901.jsonl.xz", lzma.decompress),
    ],
)
def test_jsonl_dumps_hold_their_documents_line_by_line(small_sample, planned, file, decompress):
    folder, truth = small_sample
    lines = _jsonl(decompress((folder / file).read_bytes()))
    assert len(lines) == len([document for document in truth if document.file == file])
    for number, line in enumerate(lines):
        document = truth.at(file, number)
        if document.kind is Kind.BROKEN_ROW:
            assert line == planned[document.id].line
        else:
            fields = json.loads(line)
            assert (fields["id"], fields["url"], fields["text"]) == (
                document.id,
                document.url,
                planned[document.id].text,
            )


def test_the_truncated_dump_ends_in_the_middle_of_a_gzip_stream(small_sample, planned):
    folder, truth = small_sample
    data = (folder / f"{TRUNCATED_DUMP}.jsonl.gz").read_bytes()
    with pytest.raises(EOFError):
        gzip.decompress(data)
    *lines, rest = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data).split(b"\n")
    kept = [document for document in truth.in_dump(TRUNCATED_DUMP) if document.kind is Kind.GOOD]
    assert [json.loads(line)["id"] for line in lines] == [document.id for document in kept]
    assert rest
    assert len(kept) >= 3
    assert len(truth.of_kind(Kind.TRUNCATED)) >= 2


def test_the_wiki_is_a_mediawiki_export_of_articles_redirects_and_talk(small_sample, planned):
    folder, truth = small_sample
    root = ET.fromstring(bz2.decompress((folder / "khm_wiki@20260901.xml.bz2").read_bytes()))
    space = {"m": "http://www.mediawiki.org/xml/export-0.11/"}
    pages = root.findall("m:page", space)
    documents = truth.in_dump("khm_wiki@20260901")
    assert len(pages) == len(documents)
    assert len({page.findtext("m:title", "", space) for page in pages}) == len(pages)
    for page, document in zip(pages, documents, strict=True):
        is_article = (
            page.findtext("m:ns", "", space) == "0" and page.find("m:redirect", space) is None
        )
        assert is_article == (document.kind is Kind.GOOD)
        markup = page.findtext("m:revision/m:text", "", space)
        if is_article:
            code = mwparserfromhell.parse(markup)
            assert len(code.filter_templates()) >= 2
            assert len(code.filter_headings()) >= 3
            plain = code.strip_code(normalize=True, collapse=True)
            for paragraph in planned[document.id].text.split("\n"):
                assert paragraph in plain


def test_taking_the_markup_away_gives_back_every_paragraph(full_plan):
    wiki = next(dump for dump in full_plan if dump.name.startswith("khm_wiki"))
    for row in wiki.rows:
        if row.truth.kind is Kind.GOOD:
            plain = strip_markup(wikitext(row), frozenset({"category"}))
            headings = [line for line in plain.split("\n") if line and line not in row.text]
            assert [
                line for line in plain.split("\n") if line in row.text.split("\n")
            ] == row.text.split("\n")
            assert all(len(heading) < 20 for heading in headings)


def test_the_wet_file_is_read_by_warcio(small_sample, planned):
    folder, truth = small_sample
    file = "khm_web@20260901.warc.wet.gz"
    with (folder / file).open("rb") as stream:
        records = [
            (record.rec_type, record.rec_headers, record.content_stream().read())
            for record in ArchiveIterator(stream)
        ]
    assert records[0][0] == "warcinfo"
    assert len({headers.get_header("WARC-Record-ID") for _, headers, _ in records}) == len(records)
    assert len(records) == len(truth.in_dump("khm_web@20260901")) + 1
    for number, (kind, headers, payload) in enumerate(records[1:], 1):
        document = truth.at(file, number)
        assert kind == "conversion"
        assert headers.get_header("WARC-Target-URI") == document.url
        assert payload.decode() == planned[document.id].text


def test_the_parquet_file_is_read_by_arrow(small_sample, planned):
    folder, truth = small_sample
    table = pq.read_table(folder / "eng_news@20260901.parquet")
    documents = truth.in_dump("eng_news@20260901")
    assert table.column("id").to_pylist() == [document.id for document in documents]
    broken = [document.kind is Kind.BROKEN_ROW for document in documents]
    assert table.column("text").is_null().to_pylist() == broken
    assert any(broken)


def test_the_csv_is_read_with_its_line_breaks(small_sample, planned):
    folder, truth = small_sample
    data = gzip.decompress((folder / "eng_web@20260901.csv.gz").read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(data, newline="")))
    assert [row["id"] for row in rows] == [
        document.id for document in truth.in_dump("eng_web@20260901")
    ]
    assert all(row["text"] == planned[row["id"]].text for row in rows)
    assert any("\n" in row["text"] for row in rows)


def test_the_books_are_blocks_of_plain_text(small_sample, planned):
    folder, truth = small_sample
    blocks = (
        (folder / "eng_books@20260901.txt")
        .read_text(encoding="utf-8")
        .removesuffix("\n")
        .split("\n\n")
    )
    assert blocks == [planned[document.id].text for document in truth.in_dump("eng_books@20260901")]


def test_our_own_readers_find_every_row_where_the_truth_has_it(small_sample, planned):
    folder, truth = small_sample
    for file in {document.file for document in truth}:
        records = list(read_dump_file(str(folder / file)))
        good = {record.row: record for record in records if isinstance(record, RawRecord)}
        bad = {record.row for record in records if not isinstance(record, RawRecord)}
        documents = [document for document in truth if document.file == file]
        no_document = {Kind.BROKEN_ROW, Kind.TRUNCATED, Kind.NOT_AN_ARTICLE}
        assert set(good) == {
            document.row for document in documents if document.kind not in no_document
        }
        lost = [document.row for document in documents if document.kind is Kind.TRUNCATED]
        assert bad == {
            document.row for document in documents if document.kind is Kind.BROKEN_ROW
        } | set(lost[:1])
        for row, record in good.items():
            if not file.endswith(".xml.bz2"):
                assert record.text == planned[truth.at(file, row).id].text


def test_a_format_without_a_writer_is_an_error():
    dump = plan_dumps(0, 0.01)[0]
    with pytest.raises(ValueError, match=r"no writer for .*\.docx"):
        dump_bytes(type(dump)(dump.name, f"{dump.name}.docx", dump.rows))


def test_writing_makes_the_folder_and_replaces_files(tmp_path):
    folder = tmp_path / "deep" / "inbox"
    write_synthetic_dumps(folder, seed=1, scale=0.01)
    truth = write_synthetic_dumps(folder, seed=2, scale=0.01)
    assert SyntheticTruth.read(folder / "truth.jsonl") == truth
