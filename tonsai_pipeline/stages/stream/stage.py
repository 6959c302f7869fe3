"""A dump larger than the disk -> streamed_documents[dump]: normalized documents and bad rows, without the text as it was.

    file at a URL ──fetch──▶ .fetched/ ──read──▶ raw/part-* ──normalize──▶ normalized/part-*
                                │                   └─ bad rows ──▶ raw/quarantine/     │
                                └──── let go ◀──────────── let go ◀─────────────────────┘

As many files are on the disk as there are workers, and of each one part of raw text. `raw_documents` and
`normalized_documents` take what they show from here: the same bytes as those of a dump that is kept.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from heapq import nlargest
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.engine.parts import DONE_FOLDER
from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.lineage import Fields, Stage, raw_dump
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import IngestConfig, NormalizeConfig, Source
from tonsai_pipeline.stages.ingest import stage as ingest
from tonsai_pipeline.stages.ingest.chunks import File, Reading
from tonsai_pipeline.stages.ingest.report import make_report as report_reading
from tonsai_pipeline.stages.normalize import stage as normalize
from tonsai_pipeline.storage.dumps import Stored, is_url
from tonsai_pipeline.storage.dumps.fetch import fetch
from tonsai_pipeline.storage.files import digest_file, read_json, write_json
from tonsai_pipeline.storage.space import say_bytes
from tonsai_pipeline.text.legacy import FontTable

#: Copies on their way, and what is known of those that were read; hidden, so no part of the artifact.
_FETCHED = ".fetched"
_NORMALIZED = ".normalized"
_LOG = logging.getLogger(__name__)


class StoredFiles(ingest.DumpFiles, Protocol):
    """The part of a catalog's dump that is needed to fetch it."""

    def stored(self) -> list[Stored]:
        """Return what the dump's version says of each file."""
        ...


@dataclass(frozen=True)
class _Task:
    """A group of files, and how they become documents."""

    files: tuple[File, ...]
    stored: tuple[Stored, ...]
    reading: Reading
    config: NormalizeConfig
    tables: tuple[FontTable, ...] | None


def stream(
    dump: StoredFiles,
    folder: Path,
    *,
    source: Source,
    reading: IngestConfig,
    config: NormalizeConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Fetch, read and normalize a dump, a few files at a time.

    Args:
        dump: Which files.
        folder: The building folder.
        source: The dump's source.
        reading: The recipe's `ingest` section.
        config: The recipe's `normalize` section.
        engine: Where files are fetched and read.

    Returns:
        `raw` and `normalized`: the reports of the two assets; `fetched`: name, size and SHA-256 of every file that was read.

    Raises:
        StorageError: A file is gone, or another one than the catalog found; the network failed for good; or the disk has no
            room for what is on it at a time.
    """
    how, files = ingest.open_files(dump, source, reading)
    stored = dump.stored()
    sizes = [inf if one.num_bytes is None else one.num_bytes for one in stored]
    tables = normalize.tables_of(source)
    parts = [
        Part(
            f"file-{group[0].index:05d}",
            _Task(tuple(group), tuple(stored[file.index] for file in group), how, config, tables),
        )
        for group in ingest.group_files(files, sizes, how)
    ]
    _make_room(parts, reading, engine.num_workers, folder)
    results = map_parts(engine, _stream_group, parts, folder=folder, label="stream")
    fetched = [file for result in results for file in result["fetched"]]
    known = {file["name"]: file["num_bytes"] for file in fetched}
    num_bytes = [known.get(f.name, one.num_bytes) for f, one in zip(files, stored, strict=True)]
    raw = report_reading(files, num_bytes, [result["raw"] for result in results])
    chunks = [chunk for result in results for chunk in result["normalized"]]
    return {
        "raw": asdict(raw),
        "normalized": asdict(normalize.make_report(chunks)),
        "fetched": fetched,
    }


def _make_room(
    parts: Sequence[Part], reading: IngestConfig, num_workers: int, folder: Path
) -> None:
    """Say how much of the disk is taken at a time, and refuse a disk that has not so much.

    Raises:
        StorageError: The message says how much is missing.
    """
    waiting = [p for p in parts if not (folder / DONE_FOLDER / f"{p.name}.json").is_file()]
    first = {_copies(folder, part.payload.files).name for part in waiting[:num_workers]}
    for old in (folder / _FETCHED).glob("*/"):
        # Of a killed run with more workers: its turn comes later.
        if old.name not in first:
            shutil.rmtree(old)
    files = [[one.num_bytes or 0 for one in part.payload.stored] for part in waiting]
    # Beside the copies: a part of raw text, which the last document may exceed, and what it becomes.
    text_bytes = 2 * (reading.part_bytes + reading.max_document_bytes)
    largest = nlargest(num_workers, map(max, files))
    needed = sum(largest) + min(num_workers, len(waiting)) * text_bytes
    there = sum(path.stat().st_size for path in (folder / _FETCHED).rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free + there
    say = (
        f"{say_bytes(sum(map(sum, files)))} to fetch, at most {say_bytes(needed)} of the disk "
        f"at a time with {num_workers} workers"
    )
    if needed > free:
        raise StorageError(
            f"{folder}: {say}, and {say_bytes(free)} are free; use fewer workers, or point TONSAI_HOME at another disk"
        )
    _LOG.warning(
        "%s; the raw text is not kept: another setting that reads or normalizes it fetches it again",
        say,
    )


def _stream_group(task: _Task, folder: Path) -> dict[str, Any]:
    """Fetch and read a group of files, normalize each part of it, and let go what is not needed any more."""
    chunks: list[dict[str, Any]] = []
    raw = ingest.read_group(
        task.files,
        task.reading,
        folder / "raw",
        locate=partial(_locate, task, folder),
        on_part=lambda part: chunks.extend(_normalize(part, task, folder)),
    )
    shutil.rmtree(_copies(folder, task.files), ignore_errors=True)
    marks = (_fetch_mark(folder, file) for file in task.files)
    return {
        "raw": raw,
        "normalized": chunks,
        "fetched": [read_json(mark) for mark in marks if mark.is_file()],
    }


def _locate(task: _Task, folder: Path, file: File) -> str:
    """Return where a file can be read on this disk; it is fetched if it is not there."""
    stored = task.stored[file.index - task.files[0].index]
    mark = _fetch_mark(folder, file)
    if not is_url(file.location):
        path = Path(file.location)
        digest = digest_file(path) if path.is_file() else None
        write_json(mark, {"name": file.name, "num_bytes": stored.num_bytes, "sha256": digest})
        return file.location
    # The end of the name tells the format.
    name = PurePosixPath(unquote(urlsplit(file.location).path)).name
    path = _copies(folder, task.files) / f"{file.index:05d}-{name}"
    for older in path.parent.glob("*"):
        if older.name < path.name:  # read to its end
            older.unlink()
    if not (mark.is_file() and path.is_file()):
        fetched = fetch(file.location, path, stored)
        write_json(mark, {"name": file.name, **asdict(fetched)})
    return str(path)


def _normalize(part: Path, task: _Task, folder: Path) -> list[dict[str, Any]]:
    """Normalize a part of raw text and let it go; return what was counted, nothing for a chunk of bad rows alone."""
    mark = folder / _NORMALIZED / f"{part.name}.json"
    if part.is_file() and not mark.is_file():
        payload = normalize.PartTask(part, task.config, task.tables)
        write_json(mark, normalize.normalize_part(payload, folder / "normalized"))
    part.unlink(missing_ok=True)
    return [cast("dict[str, Any]", read_json(mark))] if mark.is_file() else []


def _copies(folder: Path, files: Sequence[File]) -> Path:
    return folder / _FETCHED / f"{files[0].index:05d}"


def _fetch_mark(folder: Path, file: File) -> Path:
    return folder / _FETCHED / f"{file.index:05d}.json"


STAGE = Stage(
    "streamed_documents",
    version=f"1+{ingest.INGEST_VERSION}+{normalize.NORMALIZE_VERSION}",
    make=stream,
    each_dump=True,
    part_of="raw_documents",
    of_recipe=lambda recipe: bool(recipe.streamed_sources()),
    fields={
        "reading": Fields("ingest"),
        "config": Fields("normalize"),
        "source": Fields("source", only=(*ingest.READ_BY, *normalize.CONVERTED_BY)),
    },
    reads={"dump": raw_dump(of=Recipe.streamed_sources)},
)
