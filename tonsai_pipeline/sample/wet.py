"""rows -> a Common Crawl WET file: one warcinfo record, one conversion record a document, each its own gzip member.

Source: WARC file format 1.0 (ISO 28500:2009) and the WET files of Common Crawl, whose record headers these repeat.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tonsai_pipeline.sample.corpus import PlannedRow

_DATE = "2026-09-01T00:00:00Z"


def wet_gz(rows: Iterable[PlannedRow]) -> bytes:
    """Write a WET file. Record ids follow from document ids, dates from the dump: the same rows give the same bytes."""
    sink = io.BytesIO()
    writer = WARCWriter(sink, gzip=True)
    info = b"Software-Info: tonsai sample\r\nExtracted-Date: Tue, 01 Sep 2026 00:00:00 GMT\r\n\r\n"
    _write(writer, "warcinfo", "", "warcinfo", "application/warc-fields", info, [])
    for row in rows:
        language = [("WARC-Identified-Content-Language", row.truth.lang)] if row.truth.lang != "mixed" else []
        _write(writer, "conversion", row.truth.url, row.truth.id, "text/plain", row.text.encode(), language)
    return sink.getvalue()


def _write(
    writer: WARCWriter,
    kind: str,
    url: str,
    name: str,
    content_type: str,
    payload: bytes,
    more: list[tuple[str, str]],
) -> None:
    record_id = f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'tonsai sample {name}')}>"
    headers = [("WARC-Type", kind), ("WARC-Date", _DATE), ("WARC-Record-ID", record_id), *more, ("Content-Type", content_type)]
    if url:
        headers.insert(1, ("WARC-Target-URI", url))
    record = writer.create_warc_record(
        url,
        kind,
        payload=io.BytesIO(payload),
        length=len(payload),
        warc_content_type=content_type,
        warc_headers=StatusAndHeaders("", headers, protocol="WARC/1.0"),
    )
    writer.write_record(record)
