from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import html
from tonsai_pipeline.storage.dumps.html import decode_page
from tonsai_pipeline_tests.storage.dumps.files import read

PROSE = "ភ្នំពេញ៖ នេះជាអត្ថបទសាកល្បងវែងបន្តិច អំពីព្រឹត្តិការណ៍ថ្មីៗក្នុងប្រទេស។ " * 8
PAGE = (
    "<html><head><title> ចំណងជើង </title></head><body><nav><a href='/'>Home</a></nav>"
    f"<article><h1>Heading</h1><p>{PROSE}</p></article><footer>Copyright</footer></body></html>"
)


def wet(bodies: list[bytes], *, packed: bool = True) -> bytes:
    stream = io.BytesIO()
    writer = WARCWriter(stream, gzip=packed)
    writer.write_record(writer.create_warcinfo_record("x.warc.wet", {"software": "test"}))
    for index, body in enumerate(bodies):
        headers = {"WARC-Identified-Content-Language": "khm", "WARC-Date": "2026-11-01T00:00:00Z"}
        writer.write_record(
            writer.create_warc_record(
                f"https://a.example/{index}",
                "conversion",
                payload=io.BytesIO(body),
                length=len(body),
                warc_content_type="text/plain",
                warc_headers_dict=headers,
            )
        )
    return stream.getvalue()


def warc(pages: list[tuple[str, str, bytes]]) -> bytes:
    """Pages are (status, content type, body)."""
    stream = io.BytesIO()
    writer = WARCWriter(stream, gzip=True)
    for index, (status, content_type, body) in enumerate(pages):
        headers = StatusAndHeaders(status, [("Content-Type", content_type)], protocol="HTTP/1.1")
        for kind in ("request", "response"):
            writer.write_record(
                writer.create_warc_record(
                    f"https://a.example/{index}",
                    kind,
                    payload=io.BytesIO(body),
                    http_headers=headers,
                )
            )
    return stream.getvalue()


@pytest.mark.parametrize("packed", [True, False])
def test_wet_records_come_with_address_language_and_date(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("a.warc.wet.gz" if packed else "a.warc.wet")
    path.write_bytes(wet([PROSE.encode(), b"second"], packed=packed))
    good, bad = read(path)
    assert bad == []
    assert [(row.text, row.row, row.url) for row in good] == [
        (PROSE, 1, "https://a.example/0"),
        ("second", 2, "https://a.example/1"),
    ]
    assert '"languages":"khm"' in (good[0].meta or "")


def test_a_bad_wet_record_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wet.gz"
    path.write_bytes(wet([b"first", b"\xff", b"x" * 3_000_000, b"last"]))
    good, bad = read(path, max_document_bytes=1000)
    assert [row.text for row in good] == ["first", "last"]
    assert [(row.row, row.reason) for row in bad] == [(2, "invalid_utf8"), (3, "too_long")]


@pytest.mark.parametrize("packed", [True, False])
def test_a_truncated_wet_file_keeps_the_records_before(tmp_path: Path, packed: bool) -> None:
    bodies = [f"document {index} {PROSE}".encode() for index in range(50)]
    whole = wet(bodies, packed=packed)
    path = tmp_path / "a.wet"
    path.write_bytes(whole[: len(whole) // 2])
    good, [bad] = read(path)
    assert [row.text.encode() for row in good] == bodies[: len(good)]
    assert 20 < len(good) < 30
    assert (bad.row, bad.reason) == (len(good) + 1, "truncated_file")


def test_a_record_with_a_wrong_length_is_bad_and_the_next_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.wet"
    whole = wet([b"first", b"second", b"third"], packed=False)
    path.write_bytes(whole.replace(b"Content-Length: 6", b"Content-Length: 4"))
    good, [bad] = read(path)
    assert [row.text for row in good] == ["first", "third"]
    assert (bad.row, bad.reason) == (2, "broken_record")


def test_a_file_that_is_no_archive_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.wet"
    path.write_bytes(b"just text, no archive\r\n" * 10)
    good, [bad] = read(path)
    assert (good, bad.row, bad.reason) == ([], 0, "corrupt_file")


def test_only_html_pages_that_were_there_are_read_from_warc(tmp_path: Path) -> None:
    pytest.importorskip("trafilatura")
    path = tmp_path / "a.warc.gz"
    path.write_bytes(
        warc(
            [
                ("200 OK", "text/html; charset=utf-8", PAGE.encode()),
                ("404 Not Found", "text/html", PAGE.encode()),
                ("200 OK", "image/png", b"\x89PNG"),
                ("200 OK", "text/html; charset=windows-1252", PAGE.encode("utf-8")),
                ("200 OK", "text/html; charset=martian", b"<p>caf\xe9</p>"),
            ]
        )
    )
    good, bad = read(path)
    assert [(row.row, row.title) for row in good] == [(1, "ចំណងជើង"), (7, "ចំណងជើង")]
    assert PROSE.strip() in good[0].text
    assert "Copyright" not in good[0].text
    assert [(row.row, row.reason) for row in bad] == [(9, "unknown_encoding")]


def test_without_the_extractor_a_warc_file_is_an_error_and_not_an_empty_dump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trafilatura", None)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(warc([("200 OK", "text/html", PAGE.encode())]))
    with pytest.raises(DumpError, match="pip install trafilatura"):
        read(path)


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        ("ក".encode(), None, "ក"),
        ("ក".encode(), "windows-1252", "ក"),
        (b"caf\xe9", "iso-8859-1", "café"),
        (b"\x93quoted\x94", "latin-1", "“quoted”"),
        (b'<meta charset="windows-1252">caf\xe9', None, '<meta charset="windows-1252">café'),
        (b"\xff\xfe" + "ក".encode("utf-16-le"), None, "ក"),
        (b"\xef\xbb\xbfa", None, "a"),
    ],
)
def test_a_page_is_decoded_by_what_it_is_and_then_by_what_it_says(
    data: bytes, charset: str | None, expected: str
) -> None:
    assert decode_page(data, charset) == expected


def test_a_page_whose_encoding_nobody_declared_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="no declared encoding fits"):
        decode_page(b"caf\xe9", None)


def test_the_extractor_is_imported_only_where_it_is_needed() -> None:
    assert not hasattr(html, "trafilatura")


def test_gzip_members_may_hold_many_records(tmp_path: Path) -> None:
    path = tmp_path / "a.wet.gz"
    path.write_bytes(gzip.compress(wet([b"one", b"two"], packed=False)))
    assert [row.text for row in read(path)[0]] == ["one", "two"]
