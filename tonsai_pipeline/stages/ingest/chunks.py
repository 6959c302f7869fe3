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
import xxhash

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.recipe.sources import DumpFormat
from tonsai_pipeline.schema import QUARANTINE, RAW_DOCUMENTS
from tonsai_pipeline.storage.documents import ROW_GROUP_BYTES, write_part
from tonsai_pipeline.storage.dumps import BadRow, RawRecord
from tonsai_pipeline.storage.dumps.records import Dialect, Tally, TextLayout

#: Bad rows per chunk: with their excerpts some 4 MB.
_MAX_BAD_ROWS = 4096
#: What a row costs in memory beside its text: nine Python values, about.
_ROW_BYTES = 512
_NUM_SAMPLES = 5
_SAMPLE_CHARS = 300
#: Lost stretches that are named.
_MAX_LOSSES = 50
_NUM_FILE_COUNTS = 5


@dataclass(frozen=True)
class File:
    """One raw file: its place in the dump, where it is, what it is called in tables."""

    index: int
    location: str
    name: str

    @property
    def id(self) -> str:
        """What stands for the file in a `doc_id`: follows from its name alone, not from its neighbours."""
        return xxhash.xxh3_64_hexdigest(self.name.encode())


def check_ids(files: Sequence[File]) -> None:
    """Raise if two files of a dump share an id; with 64 bits that takes a rare accident, or a repeated name.

    Raises:
        DumpError: The message names both files.
    """
    by_id: dict[str, File] = {}
    for file in files:
        if (other := by_id.setdefault(file.id, file)) is not file:
            raise DumpError(
                f"{file.location}: its name '{file.name}' gives the same document ids as "
                f"'{other.name}' ({other.location}); rename one of the two files"
            )


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
    dialect: Dialect = field(default_factory=Dialect)
    where: tuple[tuple[str, object], ...] = ()
    max_documents: int | None = None


@dataclass
class Counts:
    """What was found in a chunk, or in all chunks of a group.

    Attributes:
        next_file: Index of the file that the next chunk begins in.
        next_row: Row of that file that the next chunk begins with.
        is_last: No chunk follows.
        skipped: Records that are no documents though nothing is wrong with them, by reason.
        left_out: Fields beside the text that could not be kept, by name.
        pages: Pages of PDFs by what they held.
        by_file: File index -> documents, bytes of text, bad rows, stored bytes lost beside single rows, and
            losses whose size nobody knows.
        losses: The first stretches that were lost, with file and position.
    """

    next_file: int
    next_row: int = 0
    is_last: bool = False
    num_documents: int = 0
    num_bytes: int = 0
    bad_by_reason: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    by_file: dict[str, list[int]] = field(default_factory=dict)
    losses: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    bad_samples: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `asdict` would count the pairs of a Counter."""
        counters = ("bad_by_reason", "skipped", "left_out", "pages")
        return {**vars(self), **{name: dict(getattr(self, name)) for name in counters}}

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of the next chunk, or of another group."""
        self.next_file = other["next_file"]
        self.next_row = other["next_row"]
        self.is_last = other["is_last"]
        self.num_documents += other["num_documents"]
        self.num_bytes += other["num_bytes"]
        self.bad_by_reason.update(other["bad_by_reason"])
        self.skipped.update(other["skipped"])
        self.left_out.update(other["left_out"])
        self.pages.update(other["pages"])
        for file, counts in other["by_file"].items():
            self.count(int(file), *counts)
        self.losses = [*self.losses, *other["losses"]][:_MAX_LOSSES]
        self.samples = [*self.samples, *other["samples"]][:_NUM_SAMPLES]
        self.bad_samples = [*self.bad_samples, *other["bad_samples"]][:_NUM_SAMPLES]

    def count(self, file: int, *numbers: int) -> None:
        """Add to the counts of one file; see `by_file` for their order."""
        known = self.by_file.setdefault(str(file), [0] * _NUM_FILE_COUNTS)
        for position, number in enumerate(numbers):
            known[position] += number


class Chunk:
    """A stretch of some files on its way to one part and its quarantine."""

    def __init__(
        self,
        reading: Reading,
        rows: Iterator[tuple[File, RawRecord | BadRow]],
        before: Counts,
        tally: Tally,
    ) -> None:
        self.counts = Counts(before.next_file, before.next_row)
        self._reading = reading
        self._rows = rows
        self._tally = tally
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
        # The reader stands behind the chunk's last row: what it counted since the chunk before is the chunk's.
        self.counts.skipped.update(self._tally.skipped)
        self.counts.left_out.update(self._tally.left_out)
        self.counts.pages.update(self._tally.pages)
        self._tally.clear()

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
        """Tell whether the record's fields are what the source asks for; count it if not."""
        if not self._reading.where:
            return True
        fields = orjson.loads(record.meta or "{}")
        fields = {"url": record.url, "title": record.title, **fields}
        if all(_matches(_field(fields, name), value) for name, value in self._reading.where):
            return True
        self.counts.next_row = record.row + 1
        self._tally.skip("where")
        return False

    def _note(self, file: File, record: RawRecord) -> int:
        counts = self.counts
        num_bytes = len(record.text.encode())
        counts.next_row = record.row + 1
        counts.num_documents += 1
        counts.num_bytes += num_bytes
        counts.count(file.index, 1, num_bytes)
        if len(counts.samples) < _NUM_SAMPLES:
            sample = {"doc_id": self._doc_id(file, record), "text": record.text[:_SAMPLE_CHARS]}
            counts.samples.append(sample)
        return num_bytes

    def _note_bad(self, file: File, bad: BadRow) -> None:
        counts = self.counts
        self._bad.append((file, bad))
        counts.next_row = bad.row + bad.num_rows
        counts.bad_by_reason[bad.reason] += bad.num_rows
        is_unknown = bad.lost_bytes is None
        counts.count(file.index, 0, 0, bad.num_rows, bad.lost_bytes or 0, is_unknown)
        if bad.lost_bytes != 0 and len(counts.losses) < _MAX_LOSSES:
            counts.losses.append({"file": file.name, "file_index": file.index, **bad._asdict()})
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
        return f"{self._reading.dump}/{file.id}/{record.row}"


def _field(fields: Mapping[str, Any], name: str) -> Any:
    """Return a field; `a.b` is first a name and then a path."""
    if name in fields or "." not in name:
        return fields.get(name)
    head, _, rest = name.partition(".")
    inner = fields.get(head)
    return _field(inner, rest) if isinstance(inner, dict) else None


def _matches(value: Any, wanted: object) -> bool:
    """Tell whether a field has a value; numbers and booleans may be written as text on either side.

    Example:
        >>> _matches(True, "true"), _matches("5", 5), _matches(1.0, 1), _matches(True, 1)
        (True, True, True, False)
    """
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    return value == wanted or (value is not None and str(value) == str(wanted))
