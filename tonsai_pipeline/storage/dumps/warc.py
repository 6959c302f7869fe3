"""Common Crawl archives -> documents: WET (text already extracted) and WARC (whole HTTP responses).

    WET  "conversion" record ──────────────────────▶ RawRecord
    WARC "response" record, 200, HTML ──extract──▶ RawRecord

`row` counts records of every kind. `warcio` reads the records; decompression and salvage are ours.

Source: ISO 28500 (WARC 1.1); https://commoncrawl.org/get-started for the WET layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataException
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeadersParserException

from tonsai_pipeline.storage.dumps.html import decode_page, extract_text, load_extractor
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    check_text,
    decode_text,
    dump_meta,
    excerpt,
    too_long,
)
from tonsai_pipeline.storage.dumps.streams import ByteStream

_READ_BYTES = 256 << 10
_SKIP_BYTES = 1 << 20
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w:.-]+)""", re.IGNORECASE)
_HTML_TYPES = ("text/html", "application/xhtml+xml")
#: WARC header -> name in `meta`.
_META_HEADERS = {
    "WARC-Date": "date",
    "WARC-Identified-Content-Language": "languages",
    "WARC-Record-ID": "record_id",
}


def read_wet(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read the text records of a WET file."""
    yield from _read_archive(stream, options, _Wet())


def read_warc(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read the HTML pages of a WARC file and extract their main text.

    Raises:
        DumpError: The library that extracts is not installed.
    """
    load_extractor()
    yield from _read_archive(stream, options, _Warc())


class _Wet:
    """Records that a WET file holds as text."""

    def wants(self, record: ArcWarcRecord) -> bool:
        return record.rec_type == "conversion"

    def convert(
        self, data: bytes, record: ArcWarcRecord, row: int, options: ReadOptions
    ) -> RawRecord | BadRow | None:
        text = decode_text(data, row=row, byte_offset=None, options=options)
        return text if isinstance(text, BadRow) else _record(text, None, record, row)


class _Warc:
    """HTTP responses that are HTML pages."""

    def wants(self, record: ArcWarcRecord) -> bool:
        if record.rec_type != "response" or record.http_headers is None:
            return False
        content_type = (record.http_headers.get_header("Content-Type") or "").lower()
        is_html = content_type.partition(";")[0].strip() in _HTML_TYPES
        return is_html and record.http_headers.get_statuscode() == "200"

    def convert(
        self, data: bytes, record: ArcWarcRecord, row: int, options: ReadOptions
    ) -> RawRecord | BadRow | None:
        """Return the page, why it is bad, or None if it has no main text."""
        charset = _CHARSET.search(record.http_headers.get_header("Content-Type") or "")
        try:
            html = decode_page(data, charset and charset.group(1))
        except ValueError as error:
            return BadRow(row, None, "unknown_encoding", str(error), excerpt(data))
        try:
            text, title = extract_text(html)
        except (ValueError, RecursionError, AssertionError) as error:
            detail = f"{type(error).__name__}: {error}"
            return BadRow(row, None, "broken_markup", detail, excerpt(html))
        if not text:
            return None
        bad = check_text(text, row=row, byte_offset=None, options=options)
        return bad or _record(text, title, record, row)


_PARSE_ERRORS = (ArchiveLoadFailed, StatusAndHeadersParserException, ChunkedDataException)


def _read_archive(
    stream: ByteStream, options: ReadOptions, kind: _Wet | _Warc
) -> Iterator[RawRecord | BadRow]:
    row = 0
    end: BadRow | None = None
    records = ArchiveIterator(stream)
    try:
        for record in records:
            wanted = row >= options.start_row and kind.wants(record)
            data, num_bytes = _read_body(record, options.max_record_bytes if wanted else 0)
            if _is_short(record):
                detail = "the file ends inside a record"
                end = BadRow(row, None, "truncated_file", detail, excerpt(data))
                break
            if wanted:
                # Only what follows the record tells whether its length was right.
                num_errors = records.err_count
                records.read_to_end()
                if records.err_count > num_errors:
                    detail = "more bytes follow than Content-Length says"
                    yield BadRow(row, None, "broken_record", detail, excerpt(data))
                elif num_bytes > options.max_record_bytes:
                    yield too_long(num_bytes, data, row=row, byte_offset=None, options=options)
                elif (found := kind.convert(data, record, row, options)) is not None:
                    yield found
            row += 1
    except _PARSE_ERRORS as error:
        detail = f"{type(error).__name__}: {error}; the records after it cannot be found"
        end = BadRow(row, None, "corrupt_file", detail, "")
    while stream.read(_SKIP_BYTES):
        pass  # whether the file is damaged is known only at its end
    if stream.damage is not None:
        fragment = end.excerpt.encode() if end else b""
        yield from end_of(stream, row=row, byte_offset=None, fragment=fragment)
    elif end is not None:
        yield end


def _read_body(record: ArcWarcRecord, max_bytes: int) -> tuple[bytes, int]:
    """Read a record's body to its end; keep at most some `max_bytes` of it, and return its length."""
    body = record.content_stream() if max_bytes else record.raw_stream
    pieces: list[bytes] = []
    num_bytes = 0
    while piece := body.read(_READ_BYTES):
        if num_bytes <= max_bytes:
            pieces.append(piece)
        num_bytes += len(piece)
    return b"".join(pieces), num_bytes


def _is_short(record: ArcWarcRecord) -> bool:
    """Tell whether fewer bytes came than the record's header promised."""
    return cast("Any", record.raw_stream).limit > 0


def _record(text: str, title: str | None, record: ArcWarcRecord, row: int) -> RawRecord:
    headers = record.rec_headers
    found = {name: headers.get_header(header) for header, name in _META_HEADERS.items()}
    meta = {name: value for name, value in found.items() if value}
    url = headers.get_header("WARC-Target-URI")
    return RawRecord(text, row, url, title, dump_meta(meta) if meta else None)
