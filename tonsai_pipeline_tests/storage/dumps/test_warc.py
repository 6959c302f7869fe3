from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.records import Tally
from tonsai_pipeline.storage.dumps.web import html
from tonsai_pipeline.storage.dumps.web.html import decode_page
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


def warc(pages: list[tuple[str, str, bytes]], **http: str) -> bytes:
    """Pages are (status, content type, body); `http` are more headers, `_` for `-`."""
    stream = io.BytesIO()
    writer = WARCWriter(stream, gzip=True)
    for index, (status, content_type, body) in enumerate(pages):
        more = [(name.replace("_", "-"), value) for name, value in http.items()]
        headers = StatusAndHeaders(
            status, [("Content-Type", content_type), *more], protocol="HTTP/1.1"
        )
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


def chunked(data: bytes) -> bytes:
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS = {
    "gzip": ({"Content_Encoding": "gzip"}, gzip.compress),
    "zlib": ({"Content_Encoding": "deflate"}, zlib.compress),
    "raw deflate": ({"Content_Encoding": "deflate"}, raw_deflate),
    "brotli": ({"Content_Encoding": "br"}, brotli.compress),
    "zstd": ({"Content_Encoding": "zstd"}, zstandard.ZstdCompressor().compress),
    "two": ({"Content_Encoding": "gzip, br"}, lambda data: brotli.compress(gzip.compress(data))),
    "chunks": ({"Transfer_Encoding": "chunked"}, chunked),
    "chunks of gzip": (
        {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"},
        lambda data: chunked(gzip.compress(data)),
    ),
}
#: Not compressible, so that half of its compressed bytes is about half of the page.
LONG_PAGE = PAGE.replace(
    "</article>",
    "".join(f"<p>{index * 2654435761 % 99991}</p>" for index in range(500)) + "</article>",
).encode()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("state", ["whole", "already decoded", "cut"])
def test_every_coding_is_taken_off_and_a_cut_body_is_bad(
    tmp_path: Path, coding: str, state: str
) -> None:
    headers, encode = CODINGS[coding]
    body = LONG_PAGE if state == "already decoded" else encode(LONG_PAGE)
    body = body[: len(body) // 2] if state == "cut" else body
    path = tmp_path / "a.warc.gz"
    path.write_bytes(warc([("200 OK", "text/html", body)], **headers))
    good, bad = read(path)
    if state == "cut":
        assert (good, [row.reason for row in bad]) == ([], ["broken_record"])
    else:
        assert (len(good), bad) == (1, [])
        assert PROSE.strip() in good[0].text


def test_an_unknown_coding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(warc([("200 OK", "text/html", b"\x00\x01")], Content_Encoding="dcz"))
    [bad] = read(path)[1]
    assert (bad.reason, "'dcz'" in bad.detail) == ("unknown_encoding", True)


def test_records_that_are_no_documents_are_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(
        warc(
            [
                ("200 OK", "text/html", PAGE.encode()),
                ("404 Not Found", "text/html", PAGE.encode()),
                ("200 OK", "image/png", b"\x89PNG"),
                ("200 OK", "text/html", b"<html><body></body></html>"),
            ]
        )
    )
    tally = Tally()
    good, bad = read(path, tally=tally)
    assert (len(good), bad) == (1, [])
    assert tally.skipped == {"record_type": 4, "http_status": 1, "not_html": 1, "no_main_text": 1}


def test_an_encoding_declared_late_counts(tmp_path: Path) -> None:
    page = f"<html><head><script>{'x' * 5000}</script><meta charset='windows-1251'></head><body><p>"
    body = (page + "Добрый день, это проверка длинного текста. " * 20).encode("windows-1251")
    path = tmp_path / "a.warc.gz"
    path.write_bytes(warc([("200 OK", "text/html", body)]))
    good, bad = read(path)
    assert bad == []
    assert "Добрый день" in good[0].text


LENGTHS = {
    "too short": lambda n: str(n - 3),
    "too long": lambda n: str(n + 3),
    "into the next one": lambda n: str(n + 8),
    "over the next ones": lambda n: str(n + 2000),
    "beyond the file": lambda _: "99999999",
    "negative": lambda _: "-1",
    "no number": lambda _: "many",
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", [*LENGTHS, "missing"])
def test_a_record_without_its_right_length_costs_itself(
    tmp_path: Path, kind: str, packed: bool
) -> None:
    bodies = [f"document {index} {PROSE}".encode() for index in range(20)]
    bodies[7] = b"x" * 4321
    whole = wet(bodies, packed=False)
    right = b"Content-Length: 4321\r\n"
    assert whole.count(right) == 1
    wrong = b"" if kind == "missing" else f"Content-Length: {LENGTHS[kind](4321)}\r\n".encode()
    data = whole.replace(right, wrong)
    path = tmp_path / "a.wet"
    path.write_bytes(gzip.compress(data) if packed else data)
    good, bad = read(path)
    expected = [body.decode() for index, body in enumerate(bodies) if index != 7]
    assert [row.text for row in good] == expected
    assert [(row.row, row.reason, row.lost_bytes) for row in bad] == [(8, "broken_record", 0)]


def test_garbage_between_records_is_named_with_its_length(tmp_path: Path) -> None:
    path = tmp_path / "a.wet"
    whole = wet([b"first", b"second"], packed=False)
    place = whole.rindex(b"WARC/1.0")
    path.write_bytes(whole[:place] + b"garbage\n" * 100 + whole[place:])
    good, [bad] = read(path)
    assert [row.text for row in good] == ["first", "second"]
    assert (bad.row, bad.reason, bad.lost_bytes) == (2, "corrupt_file", 800)


def test_a_damaged_gzip_member_costs_its_own_record(tmp_path: Path) -> None:
    bodies = [f"document {index} {PROSE}".encode() for index in range(50)]
    members = bytearray(wet(bodies, packed=True))
    members[len(members) // 2] ^= 0xFF
    path = tmp_path / "a.wet.gz"
    path.write_bytes(members)
    good, bad = read(path)
    assert len(good) >= 49
    assert {row.text.encode() for row in good} <= set(bodies)
    assert "corrupt_file" in [row.reason for row in bad]
    assert all(row.lost_bytes is not None for row in bad)
