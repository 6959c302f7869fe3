"""Buckets -> decisions: find candidate pairs, fetch shingles, verify, resolve; again until nothing is open.

    buckets ──candidates──▶ pairs ──▶ texts of both sides ──shingle──▶ sets ──verify──▶ edges ──resolve──▶ decisions

Each round is a folder below `.work/`, and each task in it leaves its mark: a killed run that is started again
walks through the finished tasks and goes on with the first open one.
Texts are read once a round, part by part, and only the rows that are in a pair; their shingle sets are kept for
the following rounds. The rule that is followed, and why there are rounds, is in `dedup/greedy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.dedup.greedy import (
    UNKNOWN,
    Decisions,
    Edges,
    find_candidates,
    resolve,
    round_limit,
)
from tonsai_pipeline.dedup.lsh import Buckets
from tonsai_pipeline.dedup.minhash import SignatureScheme
from tonsai_pipeline.dedup.shingles import Shingles
from tonsai_pipeline.dedup.verify import Measure, similarities
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.stages.deduplicate.corpus import Scope, by_part, locate
from tonsai_pipeline.stages.deduplicate.join import JoinTask
from tonsai_pipeline.storage.documents import take_batches
from tonsai_pipeline.storage.sorted_arrays import load_array, save_array
from tonsai_pipeline.text.dedup_key import dedup_key_batch

#: Shingles of both sides in one verification task: 64 MB of hashes.
_HASHES_PER_TASK = 8_000_000
_PAIRS_PER_TASK = 200_000


@dataclass(frozen=True)
class Verification:
    """How candidate pairs are verified."""

    scheme: SignatureScheme
    min_similarity: float
    measure: Measure


@dataclass(frozen=True)
class RoundCounts:
    """What the rounds did."""

    num_rounds: int
    num_pairs: int
    num_edges: int


@dataclass(frozen=True)
class _Job:
    """What stays the same in all rounds."""

    scope: Scope
    folder: Path
    verification: Verification
    engine: Engine


@dataclass(frozen=True)
class _Files:
    """Where the shingle sets of documents lie: parallel arrays over documents, by ascending document index."""

    doc_indices: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    file_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    paths: tuple[Path, ...] = ()


def decide(
    scope: Scope,
    ranges: list[JoinTask],
    start: Decisions,
    folder: Path,
    *,
    verification: Verification,
    engine: Engine,
) -> tuple[Decisions, RoundCounts]:
    """Decide every document of the current dumps.

    Args:
        scope: The dumps.
        ranges: Ranges whose buckets lie in `.work/buckets`.
        start: Decisions in which exact copies and contaminated documents are already dropped.
        folder: The building folder.
        verification: How pairs are verified.
        engine: Where parts are processed.
    """
    job = _Job(scope, folder, verification, engine)
    decisions, edges, files = start, Edges.none(), _Files()
    counts, open_ranges = RoundCounts(0, 0, 0), ranges
    while (decisions.status == UNKNOWN).any():
        work = folder / ".work" / f"round-{counts.num_rounds}"
        pairs, unfinished, open_ranges = _find_all(
            job, open_ranges, decisions, work, round_index=counts.num_rounds
        )
        files = _fetch(job, np.unique(pairs), files, work)
        found = _verify_all(job, pairs, files, work)
        decisions, edges = resolve(decisions, edges.joined(found), unfinished, base=scope.base)
        counts = RoundCounts(
            counts.num_rounds + 1,
            counts.num_pairs + len(pairs),
            counts.num_edges + len(found.earlier),
        )
    return decisions, counts


@dataclass(frozen=True)
class _CandidateTask:
    range: JoinTask
    work: Path
    before: Path | None
    base: int
    limit: int


def _find_all(
    job: _Job, ranges: list[JoinTask], decisions: Decisions, work: Path, *, round_index: int
) -> tuple[np.ndarray, np.ndarray, list[JoinTask]]:
    """Return the round's pairs (num_pairs, 2), the unfinished documents and the ranges they are in."""
    save_array(work / "status.npy", decisions.status)
    before = work.with_name(f"round-{round_index - 1}") if round_index else None
    tasks = [
        _CandidateTask(task, work, before, job.scope.base, round_limit(round_index))
        for task in ranges
    ]
    parts = [Part(f"{work.name}-find_candidates-{task.range.name}", task) for task in tasks]
    results = map_parts(
        job.engine, _find_in_range, parts, folder=job.folder, label=f"{work.name}: pairs"
    )
    pairs = [load_array(work / f"{task.name}.pairs.npy") for task in ranges]
    unfinished = [load_array(work / f"{task.name}.unfinished.npy") for task in ranges]
    still_open = [t for t, r in zip(ranges, results, strict=True) if r["num_unfinished"] > 0]
    return (
        _unique_pairs(np.concatenate([np.zeros((0, 2), np.int64), *pairs])),
        np.unique(np.concatenate([np.zeros(0, np.int64), *unfinished])),
        still_open,
    )


def _find_in_range(task: _CandidateTask, folder: Path) -> dict[str, Any]:
    del folder
    name, buckets_folder = task.range.name, task.range.work
    buckets = Buckets(
        load_array(buckets_folder / f"{name}.members.npy"),
        load_array(buckets_folder / f"{name}.offsets.npy"),
    )
    positions = (
        np.zeros(len(buckets.members), np.int32)
        if task.before is None
        else load_array(task.before / f"{name}.positions.npy")
    )
    status = load_array(task.work / "status.npy")
    found = find_candidates(buckets, positions, status, base=task.base, limit=task.limit)
    save_array(task.work / f"{name}.pairs.npy", np.stack([found.earlier, found.later], axis=1))
    save_array(task.work / f"{name}.unfinished.npy", found.unfinished)
    save_array(task.work / f"{name}.positions.npy", found.positions)
    return {"num_pairs": len(found.earlier), "num_unfinished": len(found.unfinished)}


def _unique_pairs(pairs: np.ndarray) -> np.ndarray:
    """Return each pair once, by earlier document, then later."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    fresh = np.ones(len(pairs), dtype=bool)
    fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[fresh]


@dataclass(frozen=True)
class _FetchTask:
    path: Path
    rows: np.ndarray
    output: Path
    scheme: SignatureScheme


def _fetch(job: _Job, doc_indices: np.ndarray, known: _Files, work: Path) -> _Files:
    """Make the shingle sets of documents that have none yet; return where all of them lie."""
    missing = np.setdiff1d(doc_indices, known.doc_indices, assume_unique=True)
    tasks, owners = [], []
    address = locate(job.scope.dumps, missing)
    for (dump, part), chosen in by_part(address).items():
        placed = job.scope.dumps[dump]
        path = placed.normalized / placed.part_names[part]
        output = work / "sets" / f"{dump:05d}-{path.stem}"
        tasks.append(_FetchTask(path, address.row[chosen], output, job.verification.scheme))
        owners.append(missing[chosen])
    parts = [Part(f"{work.name}-sets-{task.output.name}", task) for task in tasks]
    map_parts(job.engine, _fetch_part, parts, folder=job.folder, label=f"{work.name}: shingles")
    ordered = [known.doc_indices, *owners]
    offsets = [load_array(_sibling(task.output, "offsets")) for task in tasks]
    numbers = range(len(known.paths), len(known.paths) + len(tasks))
    joined = _Files(
        np.concatenate(ordered),
        np.concatenate([known.starts, *(ends[:-1] for ends in offsets)]),
        np.concatenate([known.sizes, *(np.diff(ends) for ends in offsets)]),
        np.concatenate(
            [
                known.file_of,
                *(np.full(len(o), n, np.int32) for o, n in zip(owners, numbers, strict=True)),
            ]
        ),
        (*known.paths, *(_sibling(task.output, "hashes") for task in tasks)),
    )
    order = np.argsort(joined.doc_indices, kind="stable")
    return replace(
        joined,
        doc_indices=joined.doc_indices[order],
        starts=joined.starts[order],
        sizes=joined.sizes[order],
        file_of=joined.file_of[order],
    )


def _fetch_part(task: _FetchTask, folder: Path) -> dict[str, Any]:
    """Shingle some rows of a normalized part, a row group at a time."""
    del folder
    hashes, sizes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for batch in take_batches(task.path, task.rows, ["text"]):
        sets = task.scheme.shingle_sets(dedup_key_batch(batch.column("text")))
        hashes.append(sets.hashes)
        sizes.append(np.diff(sets.offsets))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    save_array(_sibling(task.output, "hashes"), np.concatenate(hashes))
    save_array(_sibling(task.output, "offsets"), offsets)
    return {"num_sets": len(offsets) - 1}


def _sibling(output: Path, kind: str) -> Path:
    return output.with_name(f"{output.name}.{kind}.npy")


@dataclass(frozen=True)
class _VerifyTask:
    pairs: np.ndarray
    files: _Files
    output: Path
    verification: Verification


def _verify_all(job: _Job, pairs: np.ndarray, files: _Files, work: Path) -> Edges:
    """Measure every pair and return those that are duplicates."""
    places = np.searchsorted(files.doc_indices, pairs)
    cost = np.cumsum(files.sizes[places].sum(axis=1))
    bound = cost // _HASHES_PER_TASK + np.arange(len(pairs)) // _PAIRS_PER_TASK
    cuts = np.flatnonzero(np.diff(bound)) + 1
    tasks = [
        _VerifyTask(
            chunk,
            _subset(files, np.unique(place)),
            work / f"verified-{index:06d}.npy",
            job.verification,
        )
        for index, (chunk, place) in enumerate(
            zip(np.split(pairs, cuts), np.split(places, cuts), strict=True)
        )
        if len(chunk)
    ]
    parts = [Part(f"{work.name}-{task.output.stem}", task) for task in tasks]
    map_parts(job.engine, _verify_chunk, parts, folder=job.folder, label=f"{work.name}: verify")
    found = np.concatenate([np.zeros(0), *(load_array(task.output) for task in tasks)])
    confirmed = found > 0
    return Edges(pairs[confirmed, 0], pairs[confirmed, 1], found[confirmed])


def _verify_chunk(task: _VerifyTask, folder: Path) -> dict[str, Any]:
    del folder
    sets = _load_sets(task.files)
    places = np.searchsorted(task.files.doc_indices, task.pairs)
    found = similarities(
        sets,
        places[:, 0],
        places[:, 1],
        min_similarity=task.verification.min_similarity,
        measure=task.verification.measure,
    )
    save_array(task.output, found)
    return {"num_confirmed": int((found > 0).sum())}


def _subset(files: _Files, places: np.ndarray) -> _Files:
    """Return the files of some documents; only the files that these documents are in."""
    used, file_of = np.unique(files.file_of[places], return_inverse=True)
    return _Files(
        files.doc_indices[places],
        files.starts[places],
        files.sizes[places],
        file_of.astype(np.int32),
        tuple(files.paths[index] for index in used),
    )


def _load_sets(files: _Files) -> Shingles:
    """Read the sets of all documents in `files`, in their order."""
    offsets = np.concatenate([[0], np.cumsum(files.sizes)]).astype(np.int64)
    hashes = np.empty(offsets[-1], dtype=np.uint64)
    for number, path in enumerate(files.paths):
        stored = load_array(path, mapped=True)
        for doc in np.flatnonzero(files.file_of == number):
            start = files.starts[doc]
            hashes[offsets[doc] : offsets[doc + 1]] = stored[start : start + files.sizes[doc]]
    return Shingles(hashes, offsets)
