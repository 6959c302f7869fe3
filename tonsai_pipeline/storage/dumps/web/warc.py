"""Common Crawl archives -> documents: WET (text already extracted) and WARC (whole HTTP responses).

    WET  "conversion" record ──────────────────────────────▶ RawRecord
    WARC "response" record, 200, HTML or PDF ──decode, extract──▶ RawRecord      others: skipped, by reason

`row` counts records of every kind.

Source: ISO 28500 (WARC 1.1); https://commoncrawl.org/get-started for the WET layout.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping

from tonsai_pipeline.storage.dumps.compression.streams import ByteStream
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
from tonsai_pipeline.storage.dumps.web.html import decode_page, extract_text, load_extractor
from tonsai_pipeline.storage.dumps.web.http import CutBodyError, decode_body, parse_response
from tonsai_pipeline.storage.dumps.web.warc_records import WarcRecord, iter_records

_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w:.-]+)""", re.IGNORECASE)
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_PDF_TYPE = "application/pdf"
#: WARC header -> name in `meta`.
_META_HEADERS = {
    "warc-date": "date",
    "warc-identified-content-language": "languages",
    "warc-record-id": "record_id",
    "warc-truncated": "truncated",
}


def read_wet(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read the text records of a WET file."""
    yield from _read_archive(stream, options, ("conversion",))


def read_warc(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read the HTML pages of a WARC file and extract their main text; records that are text come as they are.

    Raises:
        DumpError: The library that extracts is not installed.
    """
    load_extractor()
    yield from _read_archive(stream, options, ("response", "resource", "conversion"))


def _read_archive(
    stream: ByteStream, options: ReadOptions, kinds: tuple[str, ...]
) -> Iterator[RawRecord | BadRow]:
    row = 0

    def wants(headers: Mapping[str, str]) -> bool:
        return row >= options.start_row and headers.get("warc-type") in kinds

    for record in iter_records(stream, wants, options.max_record_bytes):
        if row >= options.start_row:
            if record.problem is not None:
                yield record.problem._replace(row=row)
            else:
                found = _convert(record, row, options, kinds)
                if isinstance(found, str):
                    options.tally.skip(found)
                else:
                    yield found
        row += 1


def _convert(
    record: WarcRecord, row: int, options: ReadOptions, kinds: tuple[str, ...]
) -> RawRecord | BadRow | str:
    """Return the document, why it is bad, or the reason for which it is none."""
    kind = record.headers.get("warc-type")
    if kind not in kinds:
        return "record_type"
    if kind == "response":
        return _convert_response(record, row, options)
    if kind == "resource":
        content_type = record.headers.get("content-type", "")
        if not _is_page(content_type):
            return "not_html"
        return _convert_page(record.data, content_type, record, row, options)
    if record.num_bytes > options.max_record_bytes:
        return _too_long(record, row, options)
    text = decode_text(record.data, row=row, byte_offset=record.offset, options=options)
    return text if isinstance(text, BadRow) else _record(text, None, record, row, options)


def _convert_response(
    record: WarcRecord, row: int, options: ReadOptions
) -> RawRecord | BadRow | str:
    response = parse_response(record.data)
    content_type = response.headers.get("content-type", "") if response else ""
    if response is None or not _is_page(content_type):
        return "not_html"
    if response.status != 200:
        return "http_status"
    if record.num_bytes > options.max_record_bytes:
        return _too_long(record, row, options)
    try:
        body = decode_body(response, options.max_record_bytes)
    except CutBodyError as error:
        return BadRow(row, record.offset, "broken_record", str(error), excerpt(response.body))
    except ValueError as error:
        return BadRow(row, record.offset, "unknown_encoding", str(error), excerpt(response.body))
    return _convert_page(body, content_type, record, row, options)


def _convert_pdf(
    data: bytes, record: WarcRecord, row: int, options: ReadOptions
) -> RawRecord | BadRow:
    # The extra `pdf` is asked for where there is one.
    from tonsai_pipeline.storage.dumps.pdf.reader import read_pdf_file

    with tempfile.NamedTemporaryFile(prefix="tonsai-pdf-", suffix=".pdf") as file:
        file.write(data)
        file.flush()
        found = read_pdf_file(file.name, row=row, options=options, byte_offset=record.offset)
    if isinstance(found, BadRow):
        return found
    outer = _record(found.text, found.title, record, row, options)
    metas = [meta for meta in (outer.meta, found.meta) if meta]
    return outer._replace(meta="{" + ",".join(meta[1:-1] for meta in metas) + "}")


def _convert_page(
    data: bytes, content_type: str, record: WarcRecord, row: int, options: ReadOptions
) -> RawRecord | BadRow | str:
    offset = record.offset
    if len(data) > options.max_record_bytes:
        return too_long(len(data), data, row=row, byte_offset=offset, options=options)
    if _type_of(content_type) == _PDF_TYPE:
        return _convert_pdf(data, record, row, options)
    charset = _CHARSET.search(content_type)
    try:
        html = decode_page(data, charset and charset.group(1))
    except ValueError as error:
        return BadRow(row, offset, "unknown_encoding", str(error), excerpt(data))
    try:
        text, title = extract_text(html)
    # The parsers of other people's markup must not end a dump.
    except Exception as error:  # noqa: BLE001
        detail = f"{type(error).__name__}: {error}"
        return BadRow(row, offset, "broken_markup", detail, excerpt(html))
    if not text:
        return "no_main_text"
    bad = check_text(text, row=row, byte_offset=offset, options=options)
    return bad or _record(text, title, record, row, options)


def _is_page(content_type: str) -> bool:
    return _type_of(content_type) in (*_HTML_TYPES, _PDF_TYPE)


def _type_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _too_long(record: WarcRecord, row: int, options: ReadOptions) -> BadRow:
    return too_long(
        record.num_bytes, record.data, row=row, byte_offset=record.offset, options=options
    )


def _record(
    text: str, title: str | None, record: WarcRecord, row: int, options: ReadOptions
) -> RawRecord:
    meta = {name: record.headers.get(header) for header, name in _META_HEADERS.items()}
    kept = {name: value for name, value in meta.items() if value}
    url = record.headers.get("warc-target-uri", "").strip("<>") or None
    return RawRecord(text, row, url, title, dump_meta(kept, options.tally) if kept else None)
