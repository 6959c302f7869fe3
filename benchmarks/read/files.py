"""Texts -> the same records as a file in every format."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

Record = dict[str, str]
#: No XML file can hold these.
_CONTROL = re.compile("[\x00-\x1f\ufffe\uffff]")


def real_texts(data: Path) -> list[str]:
    """Return the texts of all files, Khmer and English in turns, a blank line in none of them."""
    found: list[list[str]] = []
    for path in sorted([*data.glob("khm/*.jsonl.gz"), *data.glob("eng/*.jsonl.gz")]):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            texts = (json.loads(line)["text"] for line in stream)
            found.append(
                [_CONTROL.sub("", " ".join(text.split())) for text in texts if len(text) > 40]
            )
    return [text for group in itertools.zip_longest(*found) for text in group if text]


def records(texts: list[str], *, num_bytes: int = 0, num_records: int = 0) -> list[Record]:
    """Return records with an address each, up to a size or a number."""
    found: list[Record] = []
    size = 0
    for number, text in enumerate(itertools.cycle(texts)):
        if (num_records and number == num_records) or (num_bytes and size >= num_bytes):
            return found
        size += len(text.encode())
        found.append({"text": text, "url": f"https://example.org/{number}"})
    return found


def jsonl(rows: Iterable[Record]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def json_array(rows: list[Record]) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode()


def csv_file(rows: Iterable[Record]) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["text", "url"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def tsv_file(rows: Iterable[Record]) -> bytes:
    lines = ["text\turl", *("\t".join([row["text"], row["url"]]) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def text_file(rows: Iterable[Record]) -> bytes:
    return ("\n\n".join(row["text"] for row in rows) + "\n").encode()


def parquet(rows: list[Record]) -> bytes:
    stream = io.BytesIO()
    table = pa.table({name: [row[name] for row in rows] for name in ("text", "url")})
    pq.write_table(table, stream, row_group_size=1000, compression="zstd")
    return stream.getvalue()


def wiki(rows: Iterable[Record]) -> bytes:
    pages = (
        f"<page><title>T{number}</title><ns>0</ns><id>{number}</id><revision><id>{number}</id>"
        f"<text>'''T''' [[a|{escape(row['text'])}]]</text></revision></page>\n"
        for number, row in enumerate(rows)
    )
    return f"<mediawiki>\n{''.join(pages)}</mediawiki>\n".encode()


def wet(rows: Iterable[Record], *, packed: bool) -> bytes:
    return _archive(_wet_records(rows), packed=packed)


def warc(rows: Iterable[Record]) -> bytes:
    return _archive(_warc_records(rows), packed=True)


def _wet_records(
    rows: Iterable[Record],
) -> Iterator[tuple[str, str, bytes, StatusAndHeaders | None]]:
    for row in rows:
        yield "conversion", row["url"], row["text"].encode(), None


def _warc_records(
    rows: Iterable[Record],
) -> Iterator[tuple[str, str, bytes, StatusAndHeaders | None]]:
    for row in rows:
        page = f"<html><head><title>T</title></head><body><article><p>{escape(row['text'])}</p></article></body></html>"
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        yield "response", row["url"], page.encode(), headers


def _archive(
    found: Iterator[tuple[str, str, bytes, StatusAndHeaders | None]], *, packed: bool
) -> bytes:
    stream = io.BytesIO()
    writer = WARCWriter(stream, gzip=packed)
    for kind, url, body, headers in found:
        content_type = None if headers else "text/plain"
        writer.write_record(
            writer.create_warc_record(
                url,
                kind,
                payload=io.BytesIO(body),
                length=len(body),
                http_headers=headers,
                warc_content_type=content_type,
            )
        )
    return stream.getvalue()


def zipped(rows: list[Record]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, row in enumerate(rows):
            archive.writestr(f"{number}.txt", row["text"])
    return stream.getvalue()


def tarred(rows: list[Record]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, row in enumerate(rows):
            data = row["text"].encode()
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def gz_members(data: bytes, size: int = 1 << 20) -> bytes:
    """Compress in members, as pigz and bgzip do."""
    return b"".join(gz(data[start : start + size]) for start in range(0, len(data), size))


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zst_frames(data: bytes, size: int = 1 << 20) -> bytes:
    """Compress in frames, as pzstd does."""
    return b"".join(zst(data[start : start + size]) for start in range(0, len(data), size))


FORMATS = {
    "a.jsonl": jsonl,
    "a.jsonl.gz": lambda rows: gz(jsonl(rows)),
    "members.jsonl.gz": lambda rows: gz_members(jsonl(rows)),
    "a.jsonl.zst": lambda rows: zst(jsonl(rows)),
    "frames.jsonl.zst": lambda rows: zst_frames(jsonl(rows)),
    "a.jsonl.bz2": lambda rows: bz2.compress(jsonl(rows)),
    "a.json": json_array,
    "a.csv": csv_file,
    "a.tsv": tsv_file,
    "a.txt": text_file,
    "a.parquet": parquet,
    "a.xml": wiki,
    "a.warc.wet": lambda rows: wet(rows, packed=False),
    "a.warc.wet.gz": lambda rows: wet(rows, packed=True),
    "a.warc.gz": warc,
    "a.zip": zipped,
    "a.tar": tarred,
}
