"""A dump's raw files -> raw_documents[dump]: every good row as it was, every bad row with its reason.

    files 0, 1, ... ──read_dump_file──▶ part-<file>-<chunk>.parquet                 RAW_DOCUMENTS
                          └─ bad rows ──▶ quarantine/part-<file>-<chunk>.parquet    QUARANTINE

Small files are put together into groups; groups are read in parallel, each in chunks of about `part_bytes`
of text, named by the group's first file. A chunk that is written is remembered, and a killed run goes on
behind it: the rows before are left out, not parsed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.lineage import Fields, Stage, Table, raw_dump, same_dump
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import IngestConfig, Source
from tonsai_pipeline.schema import RAW_DOCUMENTS
from tonsai_pipeline.stages.ingest.chunks import Chunk, Counts, File, Reading, check_ids
from tonsai_pipeline.stages.ingest.report import IngestReport, make_report
from tonsai_pipeline.storage.documents import part_name
from tonsai_pipeline.storage.dumps import (
    BadRow,
    RawRecord,
    is_url,
    location_bytes,
    read_dump_file,
)
from tonsai_pipeline.storage.dumps.records import Dialect, Tally
from tonsai_pipeline.storage.files import link_or_copy, read_json, write_json
from tonsai_pipeline.storage.store import Artifact

INGEST_VERSION = "5"
#: Marks of finished chunks; hidden, so that they are no part of the artifact.
_CHUNKS = ".chunks"
#: Stored files this many times smaller than a part are put together: gzipped text grows about that much.
_EXPANSION = 4


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


def ingest(
    dump: DumpFiles | None,
    folder: Path,
    *,
    streamed: Artifact | None,
    source: Source,
    config: IngestConfig,
    engine: Engine,
) -> IngestReport | Mapping[str, Any]:
    """Read every file of a dump, or say what was read of a streamed one.

    Args:
        dump: Which files; None for a streamed dump.
        folder: The building folder.
        streamed: What was read of a streamed dump: bad rows and counts, no text.
        source: The dump's source: how its files are read.
        config: The recipe's `ingest` section.
        engine: Where files are read.

    Raises:
        DumpError: A file is missing, of unknown format, or its disk or network failed.
    """
    if dump is None:
        assert streamed is not None, "the files of a dump are read by one of two stages"
        link_or_copy(streamed.path / "raw", folder)
        return streamed.report["raw"]
    reading, files = open_files(dump, source, config)
    sizes = [_grouping_bytes(file, reading) for file in files]
    parts = [
        Part(f"file-{group[0].index:05d}", (tuple(group), reading))
        for group in group_files(files, sizes, reading)
    ]
    results = map_parts(engine, _ingest_group, parts, folder=folder, label="ingest")
    return make_report(files, [location_bytes(file.location) for file in files], results)


def open_files(dump: DumpFiles, source: Source, config: IngestConfig) -> tuple[Reading, list[File]]:
    """Return how the files of a dump are read, and the files.

    Raises:
        DumpError: Two of them have names that give the same ids.
    """
    reading = Reading(
        dump=dump.key,
        source=source.name,
        format=source.format,
        text_column=source.text_column,
        text_layout=source.text_layout,
        max_document_bytes=config.max_document_bytes,
        part_bytes=config.part_bytes,
        dialect=Dialect(**source.dialect.model_dump()),
        where=tuple(source.where.items()),
        max_documents=source.max_documents,
    )
    files = [
        File(*file) for file in zip(range(len(dump.files)), dump.files, dump.names, strict=True)
    ]
    check_ids(files)
    return reading, files


def group_files(
    files: Sequence[File], sizes: Sequence[float], reading: Reading
) -> list[list[File]]:
    """Put neighbours together until they hold enough for a part; a folder of pages is not a part a page.

    With a limit on documents all files are one group: what a file may give depends on those before it.
    """
    groups: list[list[File]] = []
    room_bytes = 0.0
    for file, size in zip(files, sizes, strict=True):
        num_bytes = 0.0 if reading.max_documents else size
        if not groups or num_bytes > room_bytes:
            groups.append([])
            room_bytes = reading.part_bytes / _EXPANSION
        groups[-1].append(file)
        room_bytes -= num_bytes
    return groups


def _grouping_bytes(file: File, reading: Reading) -> float:
    """Stored size of a local file; what lies elsewhere, is a whole data set, or is missing stays alone."""
    path = Path(file.location)
    if is_url(file.location) or reading.format == "hf_disk" or not path.is_file():
        return math.inf
    return path.stat().st_size


def _ingest_group(payload: tuple[tuple[File, ...], Reading], folder: Path) -> dict[str, Any]:
    files, reading = payload
    return read_group(files, reading, folder)


def read_group(
    files: Sequence[File],
    reading: Reading,
    folder: Path,
    *,
    locate: Callable[[File], str] = lambda file: file.location,
    on_part: Callable[[Path], object] = lambda _: None,
) -> dict[str, Any]:
    """Read files chunk by chunk, behind the chunks that a killed run has finished.

    Args:
        files: One group.
        reading: How they are read.
        folder: Where parts and marks are written.
        locate: Says where a file can be read, when it is wanted.
        on_part: Told of every part, also of those that a killed run has finished.

    Returns:
        The counts of the group.
    """
    first = files[0].index
    total = Counts(next_file=first)
    num_chunks = 0
    while (mark := _mark(folder, first, num_chunks)).is_file():
        total.add(cast("Mapping[str, Any]", read_json(mark)))
        on_part(folder / part_name(first, num_chunks))
        num_chunks += 1
    if not total.is_last:
        tally = Tally()
        rows = _read_files(files, reading, total, tally, locate)
        while not total.is_last:
            chunk = Chunk(reading, rows, total, tally)
            part = part_name(first, num_chunks)
            chunk.write(folder, part)
            counts = chunk.counts.as_json()
            write_json(_mark(folder, first, num_chunks), counts)
            total.add(counts)
            on_part(folder / part)
            num_chunks += 1
    return total.as_json()


def _read_files(
    files: Sequence[File],
    reading: Reading,
    done: Counts,
    tally: Tally,
    locate: Callable[[File], str],
) -> Iterator[tuple[File, RawRecord | BadRow]]:
    # What was done before; the counts go on while the rows are read.
    next_file, next_row = done.next_file, done.next_row
    for file in files:
        if file.index < next_file:
            continue
        rows = read_dump_file(
            locate(file),
            format=reading.format,
            text_column=reading.text_column,
            text_layout=reading.text_layout,
            max_document_bytes=reading.max_document_bytes,
            start_row=next_row if file.index == next_file else 0,
            dialect=reading.dialect,
            tally=tally,
        )
        for row in rows:
            yield file, row


def _mark(folder: Path, first_file: int, chunk: int) -> Path:
    return folder / _CHUNKS / f"{first_file:05d}" / f"{chunk:05d}.json"


#: Fields of a source that say how its files are read.
READ_BY = (
    "name",
    "format",
    "text_column",
    "text_layout",
    "dialect",
    "where",
    "max_documents",
)
STAGE = Stage(
    "raw_documents",
    version=INGEST_VERSION,
    make=ingest,
    each_dump=True,
    fields={
        "config": Fields("ingest"),
        "source": Fields("source", only=READ_BY),
    },
    reads={
        "dump": raw_dump(of=Recipe.kept_sources),
        "streamed": same_dump("streamed_documents", of=Recipe.streamed_sources),
    },
    table=Table(RAW_DOCUMENTS),
)
