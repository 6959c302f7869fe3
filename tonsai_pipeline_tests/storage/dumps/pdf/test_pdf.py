"""PDF files -> documents: paragraphs, fonts, pages, and a verdict on each file that gives none."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fpdf import FPDF

from tonsai_pipeline.storage.dumps import BadRow, RawRecord, read_dump_file
from tonsai_pipeline.storage.dumps.pdf import process
from tonsai_pipeline.storage.dumps.pdf.layout import lay_out
from tonsai_pipeline.storage.dumps.pdf.pages import Line, Page
from tonsai_pipeline.storage.dumps.records import BAD_ROW_REASONS
from tonsai_pipeline.text import normalize
from tonsai_pipeline.text.legacy import Layout, convert_documents
from tonsai_pipeline_tests.storage.dumps.pdf.files import new_pdf, write_page
from tonsai_pipeline_tests.text.legacy.encoder import encode
from tonsai_pipeline_tests.text.legacy.test_documents import PAGE

ENGLISH = (
    "The commission met on Monday and agreed on a plan for the schools of the province. It asks every district to say how many "
    "teachers it has, how many it needs, and what the buildings would cost. The answers are to be published in the spring."
)


def _read(path: Path) -> RawRecord | BadRow:
    (row,) = read_dump_file(str(path))
    return row


FRUIT = ("apples", "pears", "plums", "figs")


def _turned(number: int) -> str:
    """The text from another word on, so that no line of it repeats on the next page."""
    words = ENGLISH.split()
    return " ".join([*words[5 * number :], *words[: 5 * number]])


def test_pages_fonts_and_paragraphs_survive(tmp_path: Path) -> None:
    pdf = new_pdf()
    for number in range(4):
        footer = f"Page {number + 1} of 4"
        write_page(
            pdf,
            "helvetica",
            f"{_turned(number)}\n{FRUIT[number]}.",
            footer=footer,
            header="Ministry of Examples",
        )
    write_page(pdf, "khmer", PAGE, footer="Page 5 of 5")
    write_page(pdf, "legacy", encode(PAGE, "limon"), footer="Page 6 of 5")
    pdf.output(str(tmp_path / "a.pdf"))
    row = _read(tmp_path / "a.pdf")
    assert isinstance(row, RawRecord)
    assert "Page" not in row.text
    assert "Ministry" not in row.text
    assert row.text.split("\n")[:2] == [_turned(0), "apples."]
    meta = json.loads(row.meta or "")
    starts = meta["page_starts"]
    assert (meta["num_pages"], len(starts)) == (6, 6)
    assert row.text[starts[2] :].startswith(_turned(2)[:20])
    # A space at which a line was wrapped is not in the file: Khmer lines join without one.
    assert _solid(row.text[starts[4] : starts[5]]) == _solid(PAGE)
    layout = Layout(meta["fonts"], meta["font_runs"], starts)
    (found,) = convert_documents([row.text], [layout])
    assert found is not None
    assert [(page.number, page.reason) for page in found.pages] == [(6, None)]
    assert _solid(normalize(found.text)).endswith(_solid(normalize(PAGE)))


def _solid(text: str) -> str:
    return "".join(text.split())


def _line(text: str, top: float, right: float = 500.0, left: float = 50.0) -> Line:
    return Line(text, [(0, 0)], left, right, top, top - 10, 10.0)


def test_paragraphs_go_on_over_lines_and_pages_but_not_over_cells_and_articles() -> None:
    pages = [
        Page(
            [
                _line("One and", 700),
                _line("two hy-", 688),
                _line("phens end.", 676, 200),
                _line("a\tb", 664),
            ],
            600,
            800,
            False,
        ),
        Page([_line("Next page runs", 700)], 600, 800, False),
        Page([_line("on here.", 700), _line("2. An item", 688)], 600, 800, False),
    ]
    out = lay_out(pages, lambda _, __: False)
    text = "".join(out.pieces)
    assert text == "One and two hyphens end.\na\tb\nNext page runs on here.\n2. An item"
    assert [text[start:][:4] for start in out.page_starts] == ["One ", "Next", "on h"]
    assert "".join(lay_out(pages[1:], lambda _, __: True).pieces).startswith("Next page runson")


def scanned_pdf() -> bytes:
    """A page that is a picture."""
    from PIL import Image

    pdf = FPDF()
    pdf.add_page()
    pdf.image(Image.new("RGB", (50, 50), "gray"), x=10, y=10, w=100)
    return bytes(pdf.output())


def _encrypted() -> bytes:
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password="user")
    write_page(pdf, "helvetica", ENGLISH)
    return bytes(pdf.output())


def _wrong_characters() -> bytes:
    pdf = new_pdf()
    # Khmer written as it is drawn: the left vowel before its letter, as a PDF without logical order has it.
    write_page(pdf, "khmer", "\u17c1\u1780 \u17c2\u1781 \u17c3\u1782 " * 40)
    return bytes(pdf.output())


#: A tree of pages that hangs on itself.
PAGES_OF_ITSELF = (
    b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[2 0 R]/Count 1>>endobj\ntrailer<</Root 1 0 R>>"
)


def _blank() -> bytes:
    pdf = FPDF()
    pdf.add_page()
    return bytes(pdf.output())


@pytest.mark.parametrize(
    ("make", "reason", "detail"),
    [
        (scanned_pdf, "needs_ocr", "pages 1"),
        (_encrypted, "encrypted_pdf", "assword"),
        (_wrong_characters, "broken_to_unicode", "pages 1"),
        (_blank, "empty_pdf", "blank"),
        (lambda: b"%PDF-1.7\nnothing", "broken_pdf", ""),
        (lambda: PAGES_OF_ITSELF, "broken_pdf", "pages 1"),
    ],
)
def test_each_file_without_text_has_its_verdict(
    make: Callable[[], bytes], reason: str, detail: str, tmp_path: Path
) -> None:
    (tmp_path / "x.pdf").write_bytes(make())
    row = _read(tmp_path / "x.pdf")
    assert isinstance(row, BadRow)
    assert row.reason == reason
    assert detail in row.detail


def _same_page(num_pages: int) -> bytes:
    """A file of many pages that all show the same long text."""
    shown = b"BT /F1 8 Tf 20 800 Td " + b"(some words of a line) Tj 0 -1 Td " * 400 + b"ET"
    kids = b" ".join(b"%d 0 R" % (10 + n) for n in range(num_pages))
    pages = b"".join(
        b"%d 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R>>endobj\n" % (10 + n)
        for n in range(num_pages)
    )
    return (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[" + kids + b"]/Count %d/MediaBox[0 0 600 820]" % num_pages
        + b"/Resources<</Font<</F1 3 0 R>>>>>>endobj\n"
        b"3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        b"4 0 obj<</Length %d>>stream\n" % len(shown) + shown + b"\nendstream endobj\n"
        + pages + b"trailer<</Root 1 0 R>>"
    )  # fmt: skip


def test_a_file_that_takes_too_long_or_too_much_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(_same_page(2))
    assert process.read_in_process(str(path))["num_read"] == 2
    large = process.read_in_process(str(path), max_bytes=64 << 20)
    assert "problem" in large
    path.write_bytes(_same_page(2000))
    slow = process.read_in_process(str(path), max_cpu_s=1)
    assert slow["problem"] == "pdf_too_costly"
    assert "processor" in slow["detail"]
    stuck = process.read_in_process(str(path), max_wall_s=0.2)
    assert (stuck["problem"], "processor" in stuck["detail"]) == ("pdf_too_costly", False)


def test_archives_hold_pdfs(tmp_path: Path) -> None:
    pdf = new_pdf()
    write_page(pdf, "helvetica", ENGLISH)
    data = bytes(pdf.output())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("km/one.pdf", data)
        archive.writestr("two.pdf", b"none")
    rows = list(read_dump_file(str(tmp_path / "a.zip")))
    assert [row.text if isinstance(row, RawRecord) else row.reason for row in rows] == [
        ENGLISH,
        "broken_pdf",
    ]
    assert isinstance(rows[0], RawRecord)
    assert json.loads(rows[0].meta or "")["archive_member"] == "km/one.pdf"


def test_warc_records_of_pdfs_are_read(tmp_path: Path) -> None:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    pdf = new_pdf()
    write_page(pdf, "helvetica", ENGLISH)
    with (tmp_path / "a.warc.gz").open("wb") as out:
        writer = WARCWriter(out, gzip=True)
        headers = StatusAndHeaders(
            "200 OK", [("Content-Type", "application/pdf")], protocol="HTTP/1.1"
        )
        payload = io.BytesIO(bytes(pdf.output()))
        writer.write_record(
            writer.create_warc_record(
                "http://a.kh/l.pdf", "response", payload=payload, http_headers=headers
            )
        )
    (row,) = read_dump_file(str(tmp_path / "a.warc.gz"))
    assert isinstance(row, RawRecord)
    assert (row.text, row.url) == (ENGLISH, "http://a.kh/l.pdf")
    assert json.loads(row.meta or "")["num_pages"] == 1


@pytest.mark.slow
def test_damaged_files_never_raise(tmp_path: Path) -> None:
    pdf = new_pdf()
    write_page(pdf, "legacy", encode(PAGE, "limon"))
    write_page(pdf, "khmer", PAGE)
    whole = bytes(pdf.output())
    rng = random.Random(7)
    for _ in range(int(os.environ.get("TONSAI_FUZZ_INPUTS", "6"))):
        data = bytearray(
            whole[: rng.randrange(len(whole) // 2, len(whole))] if rng.random() < 0.3 else whole
        )
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "x.pdf").write_bytes(data)
        row = _read(tmp_path / "x.pdf")
        assert isinstance(row, RawRecord) or row.reason in BAD_ROW_REASONS
