"""Small dump files for reader tests: records -> a file in any format, and what a reader gives as plain lists."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import zstandard

from tonsai_pipeline.storage.dumps import BadRow, RawRecord, read_dump_file

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}


def jsonl(records: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def read(path: Path, **options: Any) -> tuple[list[RawRecord], list[BadRow]]:
    """Read a file; return the good rows and the bad rows."""
    rows = list(read_dump_file(str(path), **options))
    return (
        [row for row in rows if isinstance(row, RawRecord)],
        [row for row in rows if isinstance(row, BadRow)],
    )


def texts(path: Path, **options: Any) -> list[str]:
    """Read a file in which nothing is bad; return its texts."""
    good, bad = read(path, **options)
    assert bad == []
    return [row.text for row in good]
