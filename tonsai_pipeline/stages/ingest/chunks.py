"""A stretch of some raw files on its way to one part of documents and one of quarantine.

    rows of files ──Chunk.write──▶ part-*.parquet, quarantine/part-*.parquet ──▶ Counts

A chunk ends when it holds enough text; where it ended is in its counts, so that the next one, or a run after
a kill, begins there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tonsai_pipeline.recipe.sources import DumpFormat
from tonsai_pipeline.schema import QUARANTINE, RAW_DOCUMENTS
from tonsai_pipeline.storage.documents import ROW_GROUP_BYTES, write_part
from tonsai_pipeline.storage.dumps import BadRow, RawRecord
from tonsai_pipeline.storage.dumps.records import TextLayout

#: Bad rows per chunk: with their excerpts some 4 MB.
_MAX_BAD_ROWS = 4096
#: What a row costs in memory beside its text: nine Python values, about.
_ROW_BYTES = 512
_NUM_SAMPLES = 5
_SAMPLE_CHARS = 300


@dataclass(frozen=True)
class File:
    """One raw file: its place in the dump, where it is, what it is called in tables."""

    index: int
    location: str
    name: str


@dataclass(frozen=True)
class Reading:
    """How the files of a dump are read; what a worker gets beside them."""

    dump: str
    source: str
    format: DumpFormat
    text_column: str
    text_layout: TextLayout
    max_document_bytes: int
    part_bytes: int
    where: tuple[tuple[str, str], ...] = ()
    max_documents: int | None = None


@dataclass
class Counts:
    """What was found in a chunk, or in all chunks of a group.

    Attributes:
        next_file: Index of the file that the next chunk begins in.
        next_row: Row of that file that the next chunk begins with.
        is_last: No chunk follows.
        by_file: File index -> documents, bytes of text, bad rows.
    """

    next_file: int
    next_row: int = 0
    is_last: bool = False
    num_documents: int = 0
    num_bytes: int = 0
    num_passed_over: int = 0
    bad_by_reason: Counter[str] = field(default_factory=Counter)
    by_file: dict[str, list[int]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    bad_samples: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `asdict` would count the pairs of a Counter."""
        return {**vars(self), "bad_by_reason": dict(self.bad_by_reason)}

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of the next chunk, or of another group."""
        self.next_file = other["next_file"]
        self.next_row = other["next_row"]
        self.is_last = other["is_last"]
        self.num_documents += other["num_documents"]
        self.num_bytes += other["num_bytes"]
        self.num_passed_over += other["num_passed_over"]
        self.bad_by_reason.update(other["bad_by_reason"])
        for file, counts in other["by_file"].items():
            self.count(int(file), *counts)
        self.samples = [*self.samples, *other["samples"]][:_NUM_SAMPLES]
        self.bad_samples = [*self.bad_samples, *other["bad_samples"]][:_NUM_SAMPLES]

    def count(self, file: int, num_documents: int, num_bytes: int, num_bad_rows: int) -> None:
        """Add to the counts of one file."""
        known = self.by_file.setdefault(str(file), [0, 0, 0])
        for position, number in enumerate((num_documents, num_bytes, num_bad_rows)):
            known[position] += number


class Chunk:
    """A stretch of some files on its way to one part and its quarantine."""

    def __init__(
        self,
        reading: Reading,
        rows: Iterator[tuple[File, RawRecord | BadRow]],
        before: Counts,
    ) -> None:
        self.counts = Counts(before.next_file, before.next_row)
        self._reading = reading
        self._rows = rows
        self._bad: list[tuple[File, BadRow]] = []
        limit = reading.max_documents
        self._num_wanted = None if limit is None else limit - before.num_documents

    def write(self, folder: Path, name: str) -> None:
        """Write the documents, then the bad rows; a table without rows is not written."""
        batches = self._batches()
        if (first := next(batches, None)) is not None:
            write_part(folder / name, chain([first], batches), RAW_DOCUMENTS)
        if self._bad:
            write_part(folder / "quarantine" / name, [self._quarantine()], QUARANTINE)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield row groups until the chunk is full or the files end."""
        group: list[tuple[File, RawRecord]] = []
        group_bytes = 0
        for file, row in self._rows:
            self.counts.next_file = file.index
            if isinstance(row, BadRow):
                self._note_bad(file, row)
            elif self._is_wanted(row):
                group.append((file, row))
                group_bytes += self._note(file, row) + len(row.meta or "") + _ROW_BYTES
            if group_bytes >= ROW_GROUP_BYTES:
                yield self._documents(group)
                group, group_bytes = [], 0
            if self._is_full():
                break
        else:
            self.counts.is_last = True
        if group:
            yield self._documents(group)

    def _is_full(self) -> bool:
        """Tell whether the chunk ends here; note whether the dump gave all that was asked for."""
        counts = self.counts
        counts.is_last = self._num_wanted == counts.num_documents
        is_large = counts.num_bytes >= self._reading.part_bytes or len(self._bad) >= _MAX_BAD_ROWS
        return counts.is_last or is_large

    def _is_wanted(self, record: RawRecord) -> bool:
        """Tell whether the record's other fields are what the source asks for; count it if not."""
        if not self._reading.where:
            return True
        fields = orjson.loads(record.meta or "{}")
        if all(str(fields.get(name)) == value for name, value in self._reading.where):
            return True
        self.counts.next_row = record.row + 1
        self.counts.num_passed_over += 1
        return False

    def _note(self, file: File, record: RawRecord) -> int:
        counts = self.counts
        num_bytes = len(record.text.encode())
        counts.next_row = record.row + 1
        counts.num_documents += 1
        counts.num_bytes += num_bytes
        counts.count(file.index, 1, num_bytes, 0)
        if len(counts.samples) < _NUM_SAMPLES:
            sample = {"doc_id": self._doc_id(file, record), "text": record.text[:_SAMPLE_CHARS]}
            counts.samples.append(sample)
        return num_bytes

    def _note_bad(self, file: File, bad: BadRow) -> None:
        counts = self.counts
        self._bad.append((file, bad))
        counts.next_row = bad.row + bad.num_rows
        counts.bad_by_reason[bad.reason] += bad.num_rows
        counts.count(file.index, 0, 0, bad.num_rows)
        if len(counts.bad_samples) < _NUM_SAMPLES:
            counts.bad_samples.append({"file": file.name, **bad._asdict()})

    def _documents(self, rows: Sequence[tuple[File, RawRecord]]) -> pa.RecordBatch:
        columns = {
            "doc_id": [self._doc_id(file, record) for file, record in rows],
            "text": [record.text for _, record in rows],
            "source": [self._reading.source] * len(rows),
            "dump": [self._reading.dump] * len(rows),
            "file": [file.name for file, _ in rows],
            "row": [record.row for _, record in rows],
            "url": [record.url for _, record in rows],
            "title": [record.title for _, record in rows],
            "meta": [record.meta for _, record in rows],
        }
        return pa.RecordBatch.from_pydict(columns, schema=RAW_DOCUMENTS)

    def _quarantine(self) -> pa.RecordBatch:
        dump = self._reading.dump
        rows = [{"dump": dump, "file": file.name, **bad._asdict()} for file, bad in self._bad]
        return pa.RecordBatch.from_pylist(rows, schema=QUARANTINE)

    def _doc_id(self, file: File, record: RawRecord) -> str:
        return f"{self._reading.dump}/{file.index}/{record.row}"
