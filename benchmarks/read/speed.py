"""MB of text a second of CPU time, of our readers and of those of `datasets` and datatrove on the same files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.read.files import FORMATS, records

#: Formats that take long by their nature (markup, extraction) get this part of the text.
_SLOW = {"a.xml": 0.1, "a.warc.gz": 0.1}
_MEASURED = [
    *("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.json", "a.csv", "a.tsv", "a.txt", "a.parquet"),
    *("a.xml", "a.warc.wet", "a.warc.wet.gz", "a.warc.gz"),
]


def measure(
    texts: list[str], work: Path, *, num_bytes: int, repeats: int, formats: list[str] | None
) -> dict[str, Any]:
    """Return MB a second of CPU (all threads) by format and reader; None where a reader has no such format."""
    logging.disable(logging.CRITICAL)
    found: dict[str, Any] = {}
    for name in formats or _MEASURED:
        rows = records(texts, num_bytes=int(num_bytes * _SLOW.get(name, 1)))
        path = work / name
        path.write_bytes(FORMATS[name](rows))
        size = sum(len(row["text"].encode()) for row in rows)
        found[name] = {"text_mb": size / 1e6, "stored_mb": path.stat().st_size / 1e6}
        for reader, read in READERS.items():
            found[name][reader] = _speed(read, path, size, len(rows), repeats)
        path.unlink()
    return found


def _speed(
    read: Callable[[Path], Iterator[str] | None], path: Path, size: int, num_rows: int, repeats: int
) -> float | str | None:
    best: float | None = None
    for _ in range(repeats):
        start = time.process_time()
        try:
            rows = read(path)
            if rows is None:
                return None
            num_found = sum(1 for _ in rows)
        # What another reader cannot do is a result.
        except Exception as error:  # noqa: BLE001
            return (
                f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"
            )
        best = min(best or 1e9, time.process_time() - start)
        if num_found != num_rows:
            return f"{num_found:,} of {num_rows:,} records, {size / 1e6 / best:.0f} MB/s"
    return size / 1e6 / (best or 1e9)


def _ours(path: Path) -> Iterator[str] | None:
    try:
        from tonsai_pipeline.storage.dumps import read_dump_file
    except ImportError:
        return None
    return (row.text for row in read_dump_file(str(path)))  # pyright: ignore[reportAttributeAccessIssue]


def _datasets(path: Path) -> Iterator[str] | None:
    try:
        import datasets
    except ImportError:
        return None
    kinds = {
        ".jsonl": "json",
        ".json": "json",
        ".csv": "csv",
        ".tsv": "csv",
        ".txt": "text",
        ".parquet": "parquet",
    }
    suffix = next((part for part in path.suffixes if part in kinds), None)
    if suffix is None:
        return None
    options: dict[str, Any] = {}
    if suffix == ".tsv":
        options = {"delimiter": "\t", "quoting": 3}
    elif suffix == ".txt":
        options = {"sample_by": "paragraph"}
    rows = datasets.load_dataset(
        kinds[suffix], data_files=str(path), split="train", streaming=True, **options
    )
    return (row["text"] for row in rows)


def _datatrove(path: Path) -> Iterator[str] | None:
    try:
        from datatrove.pipeline.readers import CsvReader, JsonlReader, ParquetReader, WarcReader
    except ImportError:
        return None
    readers = {
        ".jsonl": JsonlReader,
        ".csv": CsvReader,
        ".parquet": ParquetReader,
        ".warc": WarcReader,
    }
    suffix = next((part for part in path.suffixes if part in readers), None)
    if suffix is None:
        return None
    reader = readers[suffix](str(path.parent), glob_pattern=path.name)
    return (document.text for document in reader.run(rank=0, world_size=1))


READERS: dict[str, Callable[[Path], Iterator[str] | None]] = {
    "ours": _ours,
    "datasets": _datasets,
    "datatrove": _datatrove,
}
