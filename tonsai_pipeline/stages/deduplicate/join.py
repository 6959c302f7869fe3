"""Runs of all dumps -> exact copies and candidate buckets of a scope, one range of keys at a time.

    exact runs ──range r──▶ (document, first document with the same text)
    band runs  ──range r──▶ buckets: kept documents of earlier dumps, undecided ones of the current dumps

A task holds the current dumps' entries of its range, and of the earlier dumps only the entries that meet them; what
it reads of those goes by in one pass. Memory is set by the number of ranges, not by the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.dedup.exact import NOT_DUPLICATE, first_copies
from tonsai_pipeline.dedup.lsh import Wanted, bucket
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, Scope
from tonsai_pipeline.stages.deduplicate.index import read_bands, read_exact
from tonsai_pipeline.storage.sorted_arrays import NUM_RANGES, load_array, save_array

#: Entries of the dump in one join. Ours: half a million take about 40 MB while they are sorted, and a small dump
#: still has work for a few processes.
ENTRIES_PER_JOIN = 500_000


@dataclass(frozen=True)
class JoinTask:
    """A range of keys of the dumps that are decided now, and the dumps before them."""

    scope: Scope
    first: int
    last: int
    work: Path

    @property
    def name(self) -> str:
        """Name of the range in files and marks; the same range has the same name in every run."""
        return f"{self.first:04d}-{self.last:04d}"


def cut_ranges(scope: Scope, num_entries: int, work: Path) -> list[JoinTask]:
    """Cut the keys of the current dumps into ranges that fit in memory."""
    num_cuts = 1
    while num_cuts < NUM_RANGES and num_entries / num_cuts > ENTRIES_PER_JOIN:
        num_cuts *= 2
    step = NUM_RANGES // num_cuts
    return [JoinTask(scope, first, first + step, work) for first in range(0, NUM_RANGES, step)]


def join_exact(scope: Scope, folder: Path, *, engine: Engine) -> np.ndarray:
    """Find the first document with the same text for every document of the current dumps.

    Returns:
        Document indices, by document index less `scope.base`; int64, shape (num_docs,); `NOT_DUPLICATE` where the document is the first.
    """
    work = folder / ".work" / "exact"
    tasks = cut_ranges(scope, scope.num_docs, work)
    parts = [Part(f"exact-{task.name}", task) for task in tasks]
    map_parts(engine, _join_exact_range, parts, folder=folder, label="exact copies")
    firsts = np.full(scope.num_docs, NOT_DUPLICATE, dtype=np.int64)
    for task in tasks:
        doc_indices, kept_duplicates = load_array(work / f"{task.name}.npy")
        firsts[doc_indices - scope.base] = kept_duplicates
    return firsts


def join_bands(
    scope: Scope, is_open: np.ndarray, folder: Path, *, num_bands: int, engine: Engine
) -> list[JoinTask]:
    """Write the buckets of the current documents, range by range; return the ranges that have any.

    Args:
        scope: The dumps.
        is_open: Documents that may still be kept, by document index less `scope.base`; bool, shape (num_docs,).
        folder: The building folder.
        num_bands: Bands of a signature.
        engine: Where ranges are joined.
    """
    work = folder / ".work" / "buckets"
    save_array(work / "is_open.npy", is_open)
    tasks = cut_ranges(scope, scope.num_docs * num_bands, work)
    parts = [Part(f"bands-{task.name}", task) for task in tasks]
    results = map_parts(engine, _join_bands_range, parts, folder=folder, label="candidates")
    return [task for task, result in zip(tasks, results, strict=True) if result["num_buckets"] > 0]


def _join_exact_range(task: JoinTask, folder: Path) -> dict[str, Any]:
    del folder
    keys, doc_indices = _own(task, read_exact)
    wanted = Wanted.of(np.sort(keys[:, 0]))
    old_keys, old_ordinals = [], []
    for dump in task.scope.earlier:
        for found, old_rows in _slices(dump, read_exact, task, wanted):
            old_keys.append(found)
            old_ordinals.append(old_rows + dump.base)
    kept_duplicates = (
        first_copies(
            np.concatenate([*old_keys, keys]), np.concatenate([*old_ordinals, doc_indices])
        )[-len(doc_indices) :]
        if len(doc_indices)
        else np.zeros(0, np.int64)
    )
    is_copy = kept_duplicates != NOT_DUPLICATE
    save_array(
        task.work / f"{task.name}.npy", np.stack([doc_indices[is_copy], kept_duplicates[is_copy]])
    )
    return {"num_copies": int(is_copy.sum())}


def _join_bands_range(task: JoinTask, folder: Path) -> dict[str, Any]:
    del folder
    keys, doc_indices = _own(task, read_bands)
    is_open = load_array(task.work / "is_open.npy", mapped=True)[doc_indices - task.scope.base]
    keys, doc_indices = keys[is_open], doc_indices[is_open]
    wanted = Wanted.of(np.sort(keys))
    old_keys, old_ordinals = [], []
    for dump in task.scope.earlier:
        kept_duplicates = load_array(dump.decided / "kept_duplicates.npy", mapped=True)
        for found, old_rows in _slices(dump, read_bands, task, wanted):
            is_kept = kept_duplicates[old_rows] == NOT_DUPLICATE
            old_keys.append(found[is_kept])
            old_ordinals.append(old_rows[is_kept] + dump.base)
    buckets = bucket(
        np.concatenate([*old_keys, keys]), np.concatenate([*old_ordinals, doc_indices])
    )
    save_array(task.work / f"{task.name}.members.npy", buckets.members)
    save_array(task.work / f"{task.name}.offsets.npy", buckets.offsets)
    return {"num_buckets": buckets.num_buckets}


_Reader = Callable[[PlacedDump, int, int, int, Wanted | None], tuple[np.ndarray, np.ndarray]]


def _own(task: JoinTask, read: _Reader) -> tuple[np.ndarray, np.ndarray]:
    """Read a range of every part of the current dumps; return (keys, doc_indices)."""
    dump = task.scope.current
    slices = list(_slices(dump, read, task))
    rows = np.concatenate([rows for _, rows in slices])
    return np.concatenate([keys for keys, _ in slices]), rows + dump.base


def _slices(
    dump: PlacedDump, read: _Reader, task: JoinTask, wanted: Wanted | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    parts = range(len(dump.part_names))
    return (read(dump, part, task.first, task.last, wanted) for part in parts)
