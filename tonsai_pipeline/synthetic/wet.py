"""rows -> a Common Crawl WET file: one warcinfo record, one conversion record a document, each its own gzip member.

Source: WARC file format 1.0 (ISO 28500:2009) and the WET files of Common Crawl, whose record headers these repeat.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tonsai_pipeline.synthetic.corpus import PlannedRow

_DATE = "2026-09-01T00:00:00Z"


def wet_gz(rows: Iterable[PlannedRow]) -> bytes:
    """Write a WET file.

    Record ids follow from document ids and the date is fixed, so the same rows give the same bytes.
    """
    sink = io.BytesIO()
    writer = WARCWriter(sink, gzip=True)
    info = (
        b"Software-Info: tonsai synthetic\r\nExtracted-Date: Tue, 01 Sep 2026 00:00:00 GMT\r\n\r\n"
    )
    headers = [("WARC-Type", "warcinfo"), ("Content-Type", "application/warc-fields")]
    _write(writer, "warcinfo", headers, info)
    for row in rows:
        headers = [("WARC-Type", "conversion"), ("WARC-Target-URI", row.truth.url)]
        if row.truth.lang != "mixed":
            headers.append(("WARC-Identified-Content-Language", row.truth.lang))
        headers.append(("Content-Type", "text/plain"))
        _write(writer, row.truth.id, headers, row.text.encode())
    return sink.getvalue()


def _write(writer: WARCWriter, name: str, headers: list[tuple[str, str]], payload: bytes) -> None:
    record_id = f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'tonsai synthetic {name}')}>"
    fields = [*headers, ("WARC-Date", _DATE), ("WARC-Record-ID", record_id)]
    given = dict(fields)
    record = writer.create_warc_record(
        given.get("WARC-Target-URI", ""),
        given["WARC-Type"],
        payload=io.BytesIO(payload),
        length=len(payload),
        warc_content_type=given["Content-Type"],
        warc_headers=StatusAndHeaders("", fields, protocol="WARC/1.0"),
    )
    writer.write_record(record)
