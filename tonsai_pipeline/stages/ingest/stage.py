"""A dump's raw files -> raw_documents[dump]: every good row as it was, every bad row with its reason.

    files 0, 1, ... ──read_dump_file──▶ part-<file>-<chunk>.parquet                 RAW_DOCUMENTS
                          └─ bad rows ──▶ quarantine/part-<file>-<chunk>.parquet    QUARANTINE

Small files are put together into groups; groups are read in parallel, each in chunks of about `part_bytes`
of text, named by the group's first file. A chunk that is written is remembered, and a killed run goes on
behind it: the rows before are left out, not parsed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.lineage import Fields, Stage, raw_dump
from tonsai_pipeline.recipe.sources import IngestConfig, Source
from tonsai_pipeline.stages.ingest.chunks import Chunk, Counts, File, Reading, check_ids
from tonsai_pipeline.storage.documents import part_name
from tonsai_pipeline.storage.dumps import (
    BadRow,
    RawRecord,
    is_url,
    location_bytes,
    read_dump_file,
)
from tonsai_pipeline.storage.dumps.records import SKIP_REASONS, Dialect, Tally
from tonsai_pipeline.storage.files import read_json, write_json

#: Marks of finished chunks; hidden, so that they are no part of the artifact.
_CHUNKS = ".chunks"
#: Stored files this many times smaller than a part are put together: gzipped text grows about that much.
_EXPANSION = 4
#: Files whose counts are listed in the report; more than that nobody reads.
_MAX_LISTED_FILES = 500
_MAX_NAMED_LOSSES = 5


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
    """What was found in one dump. Bytes are UTF-8 bytes of text, raw bytes those of the files.

    `losses` are stretches of files that were lost beside single bad rows, worst first; `max_lost_frac` is the
    largest share of one file that was, None if a file was cut and nobody can know.
    """

    num_documents: int
    num_bytes: int
    num_bad_rows: int
    num_skipped: int
    bad_by_reason: Mapping[str, int]
    skipped_by_reason: Mapping[str, int]
    fields_left_out: Mapping[str, int]
    num_files: int
    num_raw_bytes: int | None
    files: Sequence[Mapping[str, Any]]
    max_lost_frac: float | None
    losses: Sequence[Mapping[str, Any]]
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
    parts = [
        Part(f"file-{group[0].index:05d}", (tuple(group), reading))
        for group in _group_files(files, reading)
    ]
    results = map_parts(engine, _ingest_group, parts, folder=folder, label="ingest")
    return _report(files, results)


def _group_files(files: Sequence[File], reading: Reading) -> list[list[File]]:
    """Put neighbours together until they hold enough for a part; a folder of pages is not a part a page.

    With a limit on documents all files are one group: what a file may give depends on those before it.
    """
    groups: list[list[File]] = []
    room_bytes = 0.0
    for file in files:
        num_bytes = 0.0 if reading.max_documents else _grouping_bytes(file, reading)
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
    """Read files chunk by chunk, behind the chunks that a killed run has finished."""
    files, reading = payload
    first = files[0].index
    total = Counts(next_file=first)
    num_chunks = 0
    while (mark := _mark(folder, first, num_chunks)).is_file():
        total.add(cast("Mapping[str, Any]", read_json(mark)))
        num_chunks += 1
    if not total.is_last:
        tally = Tally()
        rows = _read_files(files, reading, total.next_file, total.next_row, tally)
        while not total.is_last:
            chunk = Chunk(reading, rows, total, tally)
            chunk.write(folder, part_name(first, num_chunks))
            counts = chunk.counts.as_json()
            write_json(_mark(folder, first, num_chunks), counts)
            total.add(counts)
            num_chunks += 1
    return total.as_json()


def _read_files(
    files: Sequence[File], reading: Reading, next_file: int, next_row: int, tally: Tally
) -> Iterator[tuple[File, RawRecord | BadRow]]:
    for file in files:
        if file.index < next_file:
            continue
        rows = read_dump_file(
            file.location,
            format=reading.format,
            text_column=reading.text_column,
            text_layout=reading.text_layout,
            max_document_bytes=reading.max_document_bytes,
            start_row=next_row if file.index == next_file else 0,
            dialect=reading.dialect,
            tally=tally,
        )
        before = _stamp(file)
        for row in rows:
            yield file, row
        if (after := _stamp(file)) != before:
            raise DumpError(
                f"{file.location}: was changed while it was read ({before[0]:,} bytes before, {after[0]:,} "
                "after); run again when it is complete"
            )


def _stamp(file: File) -> tuple[int, int]:
    """Return size and time of a local file; zeros for what lies elsewhere or is gone, which reading reports."""
    path = Path(file.location)
    if is_url(file.location) or not path.is_file():
        return 0, 0
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _mark(folder: Path, first_file: int, chunk: int) -> Path:
    return folder / _CHUNKS / f"{first_file:05d}" / f"{chunk:05d}.json"


def _report(files: Sequence[File], results: Sequence[Mapping[str, Any]]) -> IngestReport:
    total = Counts(next_file=0)
    for result in results:
        total.add(result)
    names = ("num_documents", "num_bytes", "num_bad_rows")
    sizes = [location_bytes(file.location) for file in files]
    counts = [total.by_file.get(str(file.index), [0] * 5) for file in files]
    fracs = [
        _lost_frac(found[3], found[4], size) for found, size in zip(counts, sizes, strict=True)
    ]
    listed = [
        {"name": file.name, **dict(zip(names, found, strict=False)), "lost_frac": frac}
        for file, found, frac in zip(files, counts, fracs, strict=True)
    ][:_MAX_LISTED_FILES]
    losses = [{**loss, "lost_frac": fracs[loss.pop("file_index")]} for loss in total.losses]
    losses.sort(key=lambda loss: -_order(loss["lost_frac"]))
    return IngestReport(
        num_documents=total.num_documents,
        num_bytes=total.num_bytes,
        num_bad_rows=sum(total.bad_by_reason.values()),
        num_skipped=sum(total.skipped.values()),
        bad_by_reason=dict(sorted(total.bad_by_reason.items())),
        skipped_by_reason=dict(sorted(total.skipped.items())),
        fields_left_out=dict(sorted(total.left_out.items())),
        num_files=len(files),
        num_raw_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        files=listed,
        max_lost_frac=max(fracs, key=_order, default=0.0),
        losses=losses,
        samples=total.samples,
        bad_samples=total.bad_samples,
    )


def _lost_frac(lost_bytes: int, num_unknown: int, num_bytes: int | None) -> float | None:
    """Return the share of a file that was lost; None if it cannot be known."""
    if num_unknown or (lost_bytes and not num_bytes):
        return None
    return min(1.0, lost_bytes / num_bytes) if num_bytes else 0.0


def _order(lost_frac: float | None) -> float:
    """Order shares: the unknown is the worst."""
    return math.inf if lost_frac is None else lost_frac


def say_empty(report: Mapping[str, Any]) -> str:
    """Say why a dump has no document: what its records were, and the way out."""
    bad, skipped = report["bad_by_reason"], report["skipped_by_reason"]
    if not bad and not skipped:
        return "the files hold no records; check the source's path and format"
    found = [f"{count:,} bad rows ({reason})" for reason, count in bad.items()]
    found += [f"{count:,} skipped ({SKIP_REASONS[reason]})" for reason, count in skipped.items()]
    way_out = "mend the files" if bad else "change the source's `where` or its files"
    return (
        f"no document: {', '.join(found)}; {way_out} and run again, or switch the dump off: "
        "tonsai dumps remove"
    )


def say_losses(report: Mapping[str, Any], max_lost_frac: float) -> str:
    """Say which files lost more than single rows, where, and how much."""
    losses = report["losses"]
    if not losses:
        return "every file was read to its end"
    named = [
        f"{loss['file']}: {_say_share(loss['lost_frac'])} at row {loss['row']:,}"
        f"{'' if loss['byte_offset'] is None else ', byte {:,}'.format(loss['byte_offset'])} "
        f"({loss['reason']}: {loss['detail']})"
        for loss in losses[:_MAX_NAMED_LOSSES]
    ]
    more = f"; and {len(losses) - len(named):,} more" if len(losses) > len(named) else ""
    return (
        f"{'; '.join(named)}{more}. Allowed is {max_lost_frac:.1%} of a file: get the files again, or accept it "
        "with ingest.max_lost_frac"
    )


def _say_share(lost_frac: float | None) -> str:
    return "cut, nobody knows how much is lost" if lost_frac is None else f"{lost_frac:.2%} lost"


STAGE = Stage(
    "raw_documents",
    version="4",
    make=ingest,
    each_dump=True,
    fields={
        "config": Fields("ingest"),
        "source": Fields(
            "source",
            only=(
                "name",
                "format",
                "text_column",
                "text_layout",
                "dialect",
                "where",
                "max_documents",
            ),
        ),
    },
    reads={"dump": raw_dump()},
)
