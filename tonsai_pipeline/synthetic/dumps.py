"""folder, seed, scale -> ten dumps in eight formats and truth.jsonl.

The bytes depend on seed, scale and the versions of the compressors alone: no clock, no host name, no random ids.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tonsai_pipeline.synthetic.corpus import PlannedDump, PlannedRow, plan_dumps
from tonsai_pipeline.synthetic.mediawiki import mediawiki_xml
from tonsai_pipeline.synthetic.truth import TRUTH_FILE, Kind, PlantedDocument, SyntheticTruth
from tonsai_pipeline.synthetic.wet import wet_gz

#: The dump whose file is cut off, as by a broken download, and how much of it is left.
TRUNCATED_DUMP = "khm_blog@20260901"
TRUNCATED_FRAC = 0.7

_ROW_GROUP_ROWS = 64


def write_synthetic_dumps(folder: Path, *, seed: int = 0, scale: float = 1.0) -> SyntheticTruth:
    """Write the dumps and their truth.

    Args:
        folder: Created if it is missing; files of the same names are replaced.
        seed: Same seed, same scale: same bytes.
        scale: Number of documents, relative to about 4 MB of text. However small, each kind is planted three times or more.

    Returns:
        What was planted, also written to ``truth.jsonl``.

    Raises:
        ValueError: `scale` is not positive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    planted: list[PlantedDocument] = []
    for dump in plan_dumps(seed, scale):
        data = dump_bytes(dump)
        truths = [row.truth for row in dump.rows]
        if dump.name == TRUNCATED_DUMP:
            data = data[: int(len(data) * TRUNCATED_FRAC)]
            truths = _mark_lost(truths, data)
        (folder / dump.file).write_bytes(data)
        planted += truths
    truth = SyntheticTruth(tuple(planted))
    truth.write(folder / TRUTH_FILE)
    return truth


def dump_bytes(dump: PlannedDump) -> bytes:
    """Write one dump in the format its file name asks for.

    Raises:
        ValueError: There is no such format.
    """
    extension = dump.file.removeprefix(f"{dump.name}.")
    if extension not in _WRITERS:
        raise ValueError(f"no writer for {dump.file}; there are {', '.join(_WRITERS)}")
    return _WRITERS[extension](dump.rows)


def _mark_lost(truths: list[PlantedDocument], data: bytes) -> list[PlantedDocument]:
    """Mark the rows whose lines cannot be read to their end from a cut gzip stream."""
    readable = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data)
    num_whole = readable.count(b"\n")
    return truths[:num_whole] + [
        replace(truth, kind=Kind.TRUNCATED) for truth in truths[num_whole:]
    ]


def _jsonl(rows: Iterable[PlannedRow]) -> bytes:
    return b"".join((row.line or _json(row)) + b"\n" for row in rows)


def _json(row: PlannedRow) -> bytes:
    fields = {"id": row.truth.id, "url": row.truth.url, "title": row.truth.title, "text": row.text}
    return json.dumps(fields, ensure_ascii=False).encode()


def _text(rows: Iterable[PlannedRow]) -> bytes:
    return "\n\n".join(row.text for row in rows).encode() + b"\n"


def _csv(rows: Iterable[PlannedRow]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(("id", "url", "title", "text"))
    writer.writerows((row.truth.id, row.truth.url, row.truth.title, row.text) for row in rows)
    return buffer.getvalue().encode()


def _parquet(rows: Iterable[PlannedRow]) -> bytes:
    columns: dict[str, list[str | None]] = {"id": [], "url": [], "title": [], "text": []}
    for row in rows:
        columns["id"].append(row.truth.id)
        columns["url"].append(row.truth.url)
        columns["title"].append(row.truth.title)
        columns["text"].append(None if row.truth.kind is Kind.BROKEN_ROW else row.text)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=_ROW_GROUP_ROWS, compression="zstd")
    return sink.getvalue()


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


_WRITERS: dict[str, Callable[[Iterable[PlannedRow]], bytes]] = {
    "jsonl": _jsonl,
    "jsonl.gz": lambda rows: _gzip(_jsonl(rows)),
    "jsonl.zst": lambda rows: zstandard.ZstdCompressor(level=6).compress(_jsonl(rows)),
    "jsonl.xz": lambda rows: lzma.compress(_jsonl(rows), preset=3),
    "xml.bz2": lambda rows: bz2.compress(mediawiki_xml(rows).encode()),
    "warc.wet.gz": wet_gz,
    "parquet": _parquet,
    "csv.gz": lambda rows: _gzip(_csv(rows)),
    "txt": _text,
}
