"""A dump's raw files -> raw_documents[dump]: every good row as it was, every bad row with its reason.

    file 0, 1, ... ──read_dump_file──▶ part-<file>-<chunk>.parquet                 RAW_DOCUMENTS
                         └─ bad rows ──▶ quarantine/part-<file>-<chunk>.parquet    QUARANTINE

Files are read in parallel, a file in chunks of about `part_bytes` of text. A chunk that is written is
remembered, and a killed run goes on behind it: the rows before are passed over, not parsed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

import orjson
import pyarrow as pa

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.recipe.sources import DumpFormat, IngestConfig, Source
from tonsai_pipeline.schema import QUARANTINE, RAW_DOCUMENTS
from tonsai_pipeline.storage.documents import ROW_GROUP_BYTES, part_name, write_part
from tonsai_pipeline.storage.dumps import BadRow, RawRecord, location_bytes, read_dump_file
from tonsai_pipeline.storage.dumps.records import TextLayout
from tonsai_pipeline.storage.files import read_json, write_json

STAGE_VERSION = "1"
#: Marks of finished chunks; hidden, so that they are no part of the artifact.
_CHUNKS = ".chunks"
#: Bad rows per chunk: with their excerpts some 4 MB.
_MAX_BAD_ROWS = 4096
#: What a row costs in memory beside its text: nine Python values, about.
_ROW_BYTES = 512
_NUM_SAMPLES = 5
_SAMPLE_CHARS = 300
#: Files whose counts are listed in the report; more than that nobody reads.
_MAX_LISTED_FILES = 500


class DumpFiles(Protocol):
    """The part of a catalog's dump that is needed to read it."""

    @property
    def key(self) -> str:
        """Dump key."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """Locations."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What the files are called in tables."""
        ...


@dataclass(frozen=True)
class IngestReport:
    """What was found in one dump. Bytes are UTF-8 bytes of text, raw bytes those of the files."""

    num_documents: int
    num_bytes: int
    num_bad_rows: int
    num_passed_over: int
    bad_by_reason: Mapping[str, int]
    num_files: int
    num_raw_bytes: int | None
    files: Sequence[Mapping[str, Any]]
    samples: Sequence[Mapping[str, Any]]
    bad_samples: Sequence[Mapping[str, Any]]

    @property
    def bad_frac(self) -> float:
        """Share of rows that could not be read; 0 for an empty dump."""
        return self.num_bad_rows / max(1, self.num_documents + self.num_bad_rows)


def ingest(
    dump: DumpFiles, folder: Path, *, source: Source, config: IngestConfig, engine: Engine
) -> IngestReport:
    """Read every file of a dump.

    Args:
        dump: Which files.
        folder: The building folder.
        source: The dump's source: how its files are read.
        config: The recipe's `ingest` section.
        engine: Where files are read.

    Raises:
        DumpError: A file is missing, of unknown format, or its disk or network failed.
    """
    parts = [
        Part(
            f"file-{index:05d}",
            _File(
                index=index,
                location=location,
                name=name,
                dump=dump.key,
                source=source.name,
                format=source.format,
                text_column=source.text_column,
                text_layout=source.text_layout,
                max_document_bytes=config.max_document_bytes,
                part_bytes=config.part_bytes,
                where=tuple(source.where.items()),
            ),
        )
        for index, (location, name) in enumerate(zip(dump.files, dump.names, strict=True))
    ]
    if source.max_documents is None:
        results = map_parts(engine, _ingest_file, parts, folder=folder, label="ingest")
    else:
        results = _ingest_in_turn(engine, parts, folder, source.max_documents)
    return _report(parts, results)


@dataclass(frozen=True)
class _File:
    """One raw file and how it is read; what a worker gets."""

    index: int
    location: str
    name: str
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
class _Counts:
    """What was found in a chunk, or in all chunks of a file."""

    next_row: int = 0
    is_last: bool = False
    num_documents: int = 0
    num_bytes: int = 0
    num_passed_over: int = 0
    bad_by_reason: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, Any]] = field(default_factory=list)
    bad_samples: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `asdict` would count the pairs of a Counter."""
        return {**vars(self), "bad_by_reason": dict(self.bad_by_reason)}

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of the next chunk."""
        self.next_row = other["next_row"]
        self.is_last = other["is_last"]
        self.num_documents += other["num_documents"]
        self.num_bytes += other["num_bytes"]
        self.num_passed_over += other["num_passed_over"]
        self.bad_by_reason.update(other["bad_by_reason"])
        self.samples = [*self.samples, *other["samples"]][:_NUM_SAMPLES]
        self.bad_samples = [*self.bad_samples, *other["bad_samples"]][:_NUM_SAMPLES]


def _ingest_in_turn(
    engine: Engine, parts: Sequence[Part], folder: Path, max_documents: int
) -> list[dict[str, Any]]:
    """Read files in turn until there are enough documents: what one may give depends on those before."""
    results: list[dict[str, Any]] = []
    for part in parts:
        left = max_documents - sum(result["num_documents"] for result in results)
        if left > 0:
            limited = Part(part.name, _File(**{**asdict(part.payload), "max_documents": left}))
            results += map_parts(engine, _ingest_file, [limited], folder=folder, label="ingest")
    return results


def _ingest_file(file: _File, folder: Path) -> dict[str, Any]:
    """Read one file chunk by chunk, behind the chunks that a killed run has finished."""
    total = _Counts()
    num_chunks = 0
    while (mark := _mark(folder, file, num_chunks)).is_file():
        total.add(cast("Mapping[str, Any]", read_json(mark)))
        num_chunks += 1
    if not total.is_last:
        rows = read_dump_file(
            file.location,
            format=file.format,
            text_column=file.text_column,
            text_layout=file.text_layout,
            max_document_bytes=file.max_document_bytes,
            start_row=total.next_row,
        )
        while not total.is_last:
            chunk = _Chunk(file, rows, total)
            chunk.write(folder, part_name(file.index, num_chunks))
            counts = chunk.counts.as_json()
            write_json(_mark(folder, file, num_chunks), counts)
            total.add(counts)
            num_chunks += 1
    return total.as_json()


class _Chunk:
    """A stretch of a file on its way to one part and its quarantine."""

    def __init__(self, file: _File, rows: Iterator[RawRecord | BadRow], before: _Counts) -> None:
        self.counts = _Counts(next_row=before.next_row)
        self._file = file
        self._rows = rows
        self._bad: list[BadRow] = []
        limit = file.max_documents
        self._num_wanted = None if limit is None else limit - before.num_documents

    def write(self, folder: Path, name: str) -> None:
        """Write the documents, then the bad rows; a table without rows is not written."""
        batches = self._batches()
        if (first := next(batches, None)) is not None:
            write_part(folder / name, chain([first], batches), RAW_DOCUMENTS)
        if self._bad:
            write_part(folder / "quarantine" / name, [self._quarantine()], QUARANTINE)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield row groups until the chunk is full or the file ends."""
        group: list[RawRecord] = []
        group_bytes = chunk_bytes = 0
        for item in self._rows:
            if isinstance(item, BadRow):
                self._note_bad(item)
            elif not self._is_wanted(item):
                self.counts.next_row = item.row + 1
                self.counts.num_passed_over += 1
            else:
                num_bytes = self._note(item)
                group.append(item)
                group_bytes += num_bytes + len(item.meta or "") + _ROW_BYTES
                chunk_bytes += num_bytes
            if group_bytes >= ROW_GROUP_BYTES:
                yield self._documents(group)
                group, group_bytes = [], 0
            if (
                self._has_all()
                or chunk_bytes >= self._file.part_bytes
                or len(self._bad) >= _MAX_BAD_ROWS
            ):
                break
        else:
            self.counts.is_last = True
        if group:
            yield self._documents(group)

    def _has_all(self) -> bool:
        """Note, and tell, whether the file gave as many documents as were asked for."""
        self.counts.is_last = self._num_wanted == self.counts.num_documents
        return self.counts.is_last

    def _is_wanted(self, record: RawRecord) -> bool:
        """Tell whether the record's other fields are what the source asks for."""
        if not self._file.where:
            return True
        fields = orjson.loads(record.meta or "{}")
        return all(str(fields.get(name)) == value for name, value in self._file.where)

    def _note(self, record: RawRecord) -> int:
        counts = self.counts
        num_bytes = len(record.text.encode())
        counts.next_row = record.row + 1
        counts.num_documents += 1
        counts.num_bytes += num_bytes
        if len(counts.samples) < _NUM_SAMPLES:
            counts.samples.append(
                {"doc_id": self._doc_id(record), "text": record.text[:_SAMPLE_CHARS]}
            )
        return num_bytes

    def _note_bad(self, bad: BadRow) -> None:
        counts = self.counts
        self._bad.append(bad)
        counts.next_row = bad.row + bad.num_rows
        counts.bad_by_reason[bad.reason] += bad.num_rows
        if len(counts.bad_samples) < _NUM_SAMPLES:
            counts.bad_samples.append({"file": self._file.name, **bad._asdict()})

    def _documents(self, records: Sequence[RawRecord]) -> pa.RecordBatch:
        file, same = self._file, len(records)
        columns = {
            "doc_id": [self._doc_id(record) for record in records],
            "text": [record.text for record in records],
            "source": [file.source] * same,
            "dump": [file.dump] * same,
            "file": [file.name] * same,
            "row": [record.row for record in records],
            "url": [record.url for record in records],
            "title": [record.title for record in records],
            "meta": [record.meta for record in records],
        }
        return pa.RecordBatch.from_pydict(columns, schema=RAW_DOCUMENTS)

    def _quarantine(self) -> pa.RecordBatch:
        where = {"dump": self._file.dump, "file": self._file.name}
        return pa.RecordBatch.from_pylist(
            [{**where, **bad._asdict()} for bad in self._bad], schema=QUARANTINE
        )

    def _doc_id(self, record: RawRecord) -> str:
        return f"{self._file.dump}/{self._file.index}/{record.row}"


def _mark(folder: Path, file: _File, chunk: int) -> Path:
    return folder / _CHUNKS / f"{file.index:05d}" / f"{chunk:05d}.json"


def _report(parts: Sequence[Part], results: Sequence[Mapping[str, Any]]) -> IngestReport:
    total = _Counts()
    files: list[Mapping[str, Any]] = []
    sizes = [location_bytes(part.payload.location) for part in parts]
    for part, result in zip(parts, results, strict=False):
        total.add(result)
        num_bad = sum(result["bad_by_reason"].values())
        counts = {name: result[name] for name in ("num_documents", "num_bytes")}
        files.append({"name": part.payload.name, **counts, "num_bad_rows": num_bad})
    return IngestReport(
        num_documents=total.num_documents,
        num_bytes=total.num_bytes,
        num_bad_rows=sum(total.bad_by_reason.values()),
        num_passed_over=total.num_passed_over,
        bad_by_reason=dict(sorted(total.bad_by_reason.items())),
        num_files=len(parts),
        num_raw_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        files=files[:_MAX_LISTED_FILES],
        samples=total.samples,
        bad_samples=total.bad_samples,
    )
