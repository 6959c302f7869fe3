"""What one fault in a file of many records costs: documents kept, and what is said about the rest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.read.files import FORMATS, Record, records
from tonsai_pipeline.storage.dumps import RawRecord, read_dump_file

#: Longest document in bytes; the huge record is above it.
_MAX_BYTES = 1 << 20
_LATIN_1 = "caf\xe9".encode("latin-1")


def measure(
    texts: list[str], work: Path, *, num_records: int, formats: list[str] | None
) -> dict[str, Any]:
    """Return, by format and fault, the share of records kept and the bad rows by reason."""
    found: dict[str, Any] = {}
    for name in formats or FORMATS:
        write = FORMATS[name]
        rows = records(texts, num_records=num_records // (10 if name == "a.warc.gz" else 1))
        whole = write(rows)
        path = work / name
        found[name] = {}
        for fault in FAULTS:
            data = _with_fault(fault, whole, rows, name)
            if data is None:
                continue
            path.write_bytes(data)
            found[name][fault] = _read(path, rows)
        path.unlink()
    return found


FAULTS = (
    "none",
    "cut at 60 %",
    "bit flip",
    "wrong length",
    "wrong encoding",
    "huge record",
    "empty",
)


def _with_fault(fault: str, whole: bytes, rows: list[Record], name: str) -> bytes | None:
    """Return the file with a fault in its middle; None if the format has no such thing."""
    middle = len(rows) // 2
    if fault == "none":
        return whole
    if fault == "cut at 60 %":
        return whole[: len(whole) * 6 // 10]
    if fault == "bit flip":
        place = len(whole) // 2
        return whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
    if fault == "empty":
        return b""
    if fault == "huge record":
        changed = [dict(row) for row in rows]
        changed[middle]["text"] = "long " * (_MAX_BYTES // 4)
        return FORMATS[name](changed)
    if fault == "wrong encoding":
        return _wrong_encoding(rows, middle, name)
    return _wrong_length(whole, rows[middle], name)


def _wrong_encoding(rows: list[Record], middle: int, name: str) -> bytes | None:
    if name in ("a.parquet", "a.warc.gz"):
        return None  # text is stored as text, or declares its encoding
    changed = [dict(row) for row in rows]
    mark = "\ue000\ue000"
    changed[middle]["text"] += mark
    from benchmarks.read import files

    packers = {".gz": files.gz, ".zst": files.zst}
    if name in ("a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a.xml", "a.tar", "a.warc.wet"):
        return FORMATS[name](changed).replace(mark.encode(), _LATIN_1 + b"xy")
    if name in ("a.jsonl.gz", "a.jsonl.zst"):
        data = files.jsonl(changed).replace(mark.encode(), _LATIN_1 + b"xy")
        return packers["." + name.rpartition(".")[2]](data)
    return None


def _wrong_length(whole: bytes, row: Record, name: str) -> bytes | None:
    text = row["text"].encode()
    if name == "a.warc.wet":
        place = whole.index(text)
        start = whole.rindex(b"Content-Length: ", 0, place)
        length = b"Content-Length: %d" % len(text)
        assert whole[start : start + len(length)] == length
        return (
            whole[:start] + b"Content-Length: %d" % (len(text) + 7) + whole[start + len(length) :]
        )
    if name in ("a.csv", "a.tsv"):
        line_end = whole.index(b"\n", whole.index(row["url"].encode()))
        return whole[:line_end] + (b"," if name == "a.csv" else b"\t") + b"more" + whole[line_end:]
    return None


def _read(path: Path, rows: list[Record]) -> dict[str, Any]:
    expected = Counter(row["text"] for row in rows)
    kept = 0
    bad: Counter[str] = Counter()
    lost: list[int | None] = []
    for row in read_dump_file(str(path), max_document_bytes=_MAX_BYTES):
        if isinstance(row, RawRecord):
            text = row.text.removeprefix("T ") if path.suffix == ".xml" else row.text
            kept += expected[text] > 0 or path.name == "a.warc.gz" or path.suffix == ".xml"
        else:
            bad[row.reason] += row.num_rows
            if row.lost_bytes != 0:
                lost.append(row.lost_bytes)
    size = max(1, path.stat().st_size)
    share = None if None in lost else sum(one or 0 for one in lost) / size
    return {
        "kept_frac": kept / len(rows),
        "bad": ", ".join(f"{reason} {count:,}" for reason, count in bad.items()) or "-",
        "lost_frac": "unknown" if share is None else round(share, 4),
    }
