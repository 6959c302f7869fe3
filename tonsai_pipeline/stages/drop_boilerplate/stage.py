"""Keep-lists -> keep-lists without documents that are mostly lines of many earlier ones.

    kept documents ──lines──▶ sorted runs (line hash, document) ──range r──▶ boilerplate bytes of each document
    keep-list, dropped ──less those that are mostly boilerplate──▶ part-*.parquet, dropped/part-*.parquet

Counted are the documents before each one, in the order of the duplicates: a new dump changes no old decision.
Documents that were dropped as duplicates of one that goes here stay dropped: they are as repetitive. Where the recipe
leaves the pass out, the keep-lists are those of the duplicates.
"""

# Arrow makes its compute functions when it is imported; a checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.dedup.exact import exact_keys
from tonsai_pipeline.dedup.lines import distinct_lines, in_many, split_lines
from tonsai_pipeline.dedup.lsh import Wanted
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.lineage import Fields, Stage, Table, earlier_dumps, every_dump, same_dump
from tonsai_pipeline.recipe.dedup import RepetitionConfig
from tonsai_pipeline.schema import DROPPED_DOCUMENTS, KEPT_DOCUMENTS, DedupReason, DumpKey
from tonsai_pipeline.stages.deduplicate.stage import dump_order
from tonsai_pipeline.storage.documents import count_rows, read_part, take_batches, write_part
from tonsai_pipeline.storage.files import atomic_path
from tonsai_pipeline.storage.sorted_arrays import (
    NUM_RANGES,
    load_array,
    read_sorted,
    save_array,
    write_sorted,
)
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION, dedup_key_batch

#: Entries of the dump in one range. Ours: 2 million take about 150 MB while they are sorted.
_ENTRIES_PER_RANGE = 2_000_000
#: Lines shown in the report of a dump.
_NUM_LINES = 20
_EXCERPT_CHARS = 200

_ENTRY = np.dtype([("row", "<u4"), ("num_bytes", "<u4")])


def drop_boilerplate_of_dump(
    normalized: Artifact,
    decisions: Artifact,
    earlier: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    config: RepetitionConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Write the final keep-list and dropped documents of a dump; return the counts of both passes.

    Args:
        normalized: The dump's normalized_documents.
        decisions: What deduplication decided about it.
        earlier: What this pass made of the dumps before, in the order of decisions.
        folder: The building folder.
        config: The recipe's `dedup.repetition` section.
        engine: Where parts are processed.
    """
    if config.enabled:
        counts = [count_rows(path) for path in normalized.parts()]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(int).tolist()
        before = tuple(artifact.path for artifact in earlier.values())
        return _Pass(normalized, decisions, tuple(starts), before, config, folder, engine).run()
    for path in (*decisions.parts(), *decisions.parts("dropped")):
        with atomic_path(folder / path.relative_to(decisions.path)) as temporary:
            shutil.copyfile(path, temporary)
    return {**_counts(decisions), "num_boilerplate": 0, "lines": []}


def sum_up(kept: Mapping[DumpKey, Artifact], folder: Path, *, engine: Engine) -> dict[str, Any]:
    """Count over all dumps what stays; return also the lines that most documents have.

    Args:
        kept: The final keep-lists by dump.
        folder: Not used: the lists stay where they are.
        engine: Not used.
    """
    del folder, engine
    reports = {str(key): dict(artifact.report) for key, artifact in kept.items()}
    best: dict[str, int] = {}
    for report in reports.values():
        for line in report.pop("lines"):
            best[line["text"]] = max(best.get(line["text"], 0), line["num_documents"])
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:_NUM_LINES]
    names = ("num_documents", "num_kept", "num_boilerplate")
    return {
        **{name: sum(report[name] for report in reports.values()) for name in names},
        "by_dump": reports,
        "lines": [{"text": text, "num_documents": count} for text, count in ranked],
    }


def _counts(decisions: Artifact) -> dict[str, Any]:
    names = ("num_documents", "num_kept", "num_exact", "num_near", "num_contaminated")
    return {name: decisions.report[name] for name in (*names, "dropped_frac")}


@dataclass(frozen=True)
class _Pass:
    """The second pass over one dump."""

    normalized: Artifact
    decisions: Artifact
    starts: tuple[int, ...]
    earlier: tuple[Path, ...]
    config: RepetitionConfig
    folder: Path
    engine: Engine

    def run(self) -> dict[str, Any]:
        """Write runs, counts and the new keep-lists; return the first pass's counts, corrected."""
        frac, lines = self._boilerplate()
        save_array(self.folder / ".work" / "frac.npy", frac)
        tasks = [
            _TableTask(path.name, self.decisions.path, self.folder, start, self.config)
            for path, start in zip(self.normalized.parts(), self.starts, strict=False)
        ]
        parts = [Part(f"final-{Path(task.name).stem}", task) for task in tasks]
        results = map_parts(
            self.engine, _write_tables, parts, folder=self.folder, label="boilerplate"
        )
        num_gone = sum(result["num_boilerplate"] for result in results)
        counts = _counts(self.decisions)
        counts["num_boilerplate"] = num_gone
        counts["num_kept"] -= num_gone
        if self.starts[-1]:
            counts["dropped_frac"] = 1.0 - counts["num_kept"] / self.starts[-1]
        return {**counts, "lines": lines}

    def _boilerplate(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Return the share of boilerplate of every document, and the lines that most documents have."""
        tasks = [
            _LineTask(path, self.decisions.path / path.name, start, self.config)
            for path, start in zip(self.normalized.parts(), self.starts, strict=False)
        ]
        parts = [Part(f"lines-{task.path.stem}", task) for task in tasks]
        written = map_parts(self.engine, _write_lines, parts, folder=self.folder, label="lines")
        num_entries = sum(result["num_lines"] for result in written)
        num_cuts = 1
        while num_cuts < NUM_RANGES and num_entries / num_cuts > _ENTRIES_PER_RANGE:
            num_cuts *= 2
        names = tuple(task.path.stem for task in tasks)
        step = NUM_RANGES // num_cuts
        cuts = [
            _RangeTask(first, first + step, names, self.earlier, self.config)
            for first in range(0, NUM_RANGES, step)
        ]
        parts = [Part(f"count-{task.first:04d}", task) for task in cuts]
        counted = map_parts(
            self.engine, _count_range, parts, folder=self.folder, label="count lines"
        )
        num_bytes = np.zeros(self.starts[-1], np.int64)
        for task in cuts:
            rows, found = load_array(self.folder / ".work" / f"range-{task.first:04d}.npy")
            np.add.at(num_bytes, rows, found)
        sizes = np.concatenate(
            [np.zeros(0, np.int64)]
            + [load_array(self.folder / ".work" / f"{name}.sizes.npy") for name in names]
        )
        lines = [line for result in counted for line in result["lines"]]
        lines.sort(key=lambda line: (-line["num_documents"], line["hash"]))
        return num_bytes / np.maximum(1, sizes), [self._show(line) for line in lines[:_NUM_LINES]]

    def _show(self, line: dict[str, Any]) -> dict[str, Any]:
        """Look up the text of a line in the first document of this dump that has it."""
        part = int(np.searchsorted(self.starts, line["row"], side="right")) - 1
        row = np.array([line["row"] - self.starts[part]])
        path = self.normalized.parts()[part]
        batch = next(take_batches(path, row, ["text"]))
        lines, _ = split_lines(batch.column("text"))
        hashes = exact_keys(dedup_key_batch(lines))[:, 0]
        text = lines[int(np.flatnonzero(hashes == np.uint64(line["hash"]))[0])].as_py()
        return {"text": text[:_EXCERPT_CHARS], "num_documents": line["num_documents"]}


@dataclass(frozen=True)
class _LineTask:
    path: Path
    keep: Path
    start: int
    config: RepetitionConfig


def _write_lines(task: _LineTask, folder: Path) -> dict[str, Any]:
    """Write the lines of the kept documents of one part as a sorted run, rows numbered through the dump."""
    kept = read_part(task.keep, ["row_in_part"]).column(0).to_numpy()
    sizes = np.zeros(count_rows(task.path), np.int64)
    rows, hashes, num_bytes = (
        [np.zeros(0, np.int64)],
        [np.zeros(0, np.uint64)],
        [np.zeros(0, np.int64)],
    )
    done = 0
    for batch in take_batches(task.path, kept, ["text"]):
        here = kept[done : done + batch.num_rows]
        done += batch.num_rows
        text = batch.column("text")
        sizes[here] = pc.binary_length(text).to_numpy()
        lines, docs = split_lines(text)
        found = distinct_lines(
            lines, dedup_key_batch(lines), docs, min_line_chars=task.config.min_line_chars
        )
        rows.append(here[found.docs] + task.start)
        hashes.append(found.hashes)
        num_bytes.append(found.num_bytes)
    keys = np.concatenate(hashes)
    entries = np.empty(len(keys), dtype=_ENTRY)
    entries["row"] = np.concatenate(rows)
    entries["num_bytes"] = np.concatenate(num_bytes)
    work = folder / ".work"
    write_sorted(work / "lines", task.path.stem, keys, entries)
    save_array(work / f"{task.path.stem}.sizes.npy", sizes)
    return {"num_lines": len(keys)}


@dataclass(frozen=True)
class _RangeTask:
    first: int
    last: int
    names: tuple[str, ...]
    earlier: tuple[Path, ...]
    config: RepetitionConfig


def _count_range(task: _RangeTask, folder: Path) -> dict[str, Any]:
    """Find the boilerplate lines in one range of hashes; leave this dump's counts for the dumps that follow."""
    work = folder / ".work"
    slices = [read_sorted(work / "lines", name, task.first, task.last) for name in task.names]
    hashes = np.concatenate([np.zeros(0, np.uint64), *(keys for keys, _ in slices)])
    entries = np.concatenate([np.zeros(0, _ENTRY), *(values for _, values in slices)])
    own, counts = np.unique(hashes, return_counts=True)
    old_hashes, old_counts = _earlier_counts(task, Wanted.of(own))
    rows = entries["row"].astype(np.int64)
    is_many = in_many(hashes, rows, old_hashes, old_counts, max_documents=task.config.max_documents)
    save_array(
        work / f"range-{task.first:04d}.npy",
        np.stack([rows[is_many], entries["num_bytes"][is_many].astype(np.int64)]),
    )
    write_sorted(folder / "counts", f"range-{task.first:04d}", own, counts.astype(np.int64))
    return {"lines": _most_seen(own, counts, old_hashes, old_counts, hashes, rows, task.config)}


def _earlier_counts(task: _RangeTask, wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    """Return (hash, documents) of the lines of earlier dumps that this dump has too."""
    hashes, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for path in task.earlier:
        for name in sorted(file.name for file in (path / "counts").glob("range-*.keys.npy")):
            run = read_sorted(
                path / "counts", name.removesuffix(".keys.npy"), task.first, task.last
            )
            keys, values = wanted.select(*run)
            hashes.append(keys)
            counts.append(values)
    return np.concatenate(hashes), np.concatenate(counts)


def _most_seen(
    own: np.ndarray,
    counts: np.ndarray,
    old_hashes: np.ndarray,
    old_counts: np.ndarray,
    hashes: np.ndarray,
    rows: np.ndarray,
    config: RepetitionConfig,
) -> list[dict[str, int]]:
    """Return the lines that most documents have so far, each with the first document here that has it."""
    total = counts.astype(np.int64)
    np.add.at(total, np.searchsorted(own, old_hashes), old_counts)
    best = np.lexsort((own, -total))[:_NUM_LINES]
    return [
        {
            "hash": int(own[index]),
            "num_documents": int(total[index]),
            "row": int(rows[hashes == own[index]].min()),
        }
        for index in best
        if total[index] > config.max_documents
    ]


@dataclass(frozen=True)
class _TableTask:
    name: str
    link: Path
    folder: Path
    start: int
    config: RepetitionConfig


def _write_tables(task: _TableTask, folder: Path) -> dict[str, Any]:
    """Write the keep-list and the dropped documents of one part."""
    keep = read_part(task.link / task.name)
    rows = keep.column("row_in_part").to_numpy()
    frac = load_array(folder / ".work" / "frac.npy", mapped=True)[rows + task.start]
    is_gone = frac > task.config.max_boilerplate_frac
    write_part(folder / task.name, [keep.filter(pa.array(~is_gone))], KEPT_DOCUMENTS)
    tables = list(_dropped(task, keep.filter(pa.array(is_gone)), np.array(frac[is_gone])))
    if tables:
        merged = pa.concat_tables(tables).sort_by("row_in_part")
        write_part(folder / "dropped" / task.name, [merged], DROPPED_DOCUMENTS)
    return {"num_boilerplate": int(is_gone.sum())}


def _dropped(task: _TableTask, gone: pa.Table, frac: np.ndarray) -> Iterator[pa.Table]:
    """Yield what the first pass dropped, and what this one drops."""
    before = task.link / "dropped" / task.name
    if before.is_file():
        yield read_part(before)
    if gone.num_rows:
        columns: dict[str, Any] = {
            "doc_id": gone.column("doc_id"),
            "row_in_part": gone.column("row_in_part"),
            "reason": pa.array([DedupReason.BOILERPLATE.value] * gone.num_rows),
            "similarity": pa.array(frac.astype(np.float32)),
        }
        for name in DROPPED_DOCUMENTS.names[4:]:
            columns[name] = pa.nulls(gone.num_rows, DROPPED_DOCUMENTS.field(name).type)
        yield pa.table(columns, schema=DROPPED_DOCUMENTS)


DUMP = Stage(
    "kept_documents_of_dump",
    version=f"2+key{DEDUP_KEY_VERSION}",
    make=drop_boilerplate_of_dump,
    each_dump=True,
    part_of="kept_documents",
    dump_order=dump_order,
    fields={"config": Fields("dedup.repetition")},
    reads={
        "normalized": same_dump("normalized_documents"),
        "decisions": same_dump("dedup_decisions"),
        "earlier": earlier_dumps("kept_documents_of_dump"),
    },
    table=Table(KEPT_DOCUMENTS, same="decisions"),
)

STAGE = Stage(
    "kept_documents",
    version="1",
    make=sum_up,
    dump_order=dump_order,
    reads={"kept": every_dump("kept_documents_of_dump")},
)

STAGES = (DUMP, STAGE)
