"""Decisions of all dumps -> groups, drop rates, pairs to look at, and whether a guard was crossed.

kept duplicates of every dump ──▶ groups.parquet, Summary
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.shingle_units import mix64_array
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.schema import DUPLICATE_GROUPS, KEPT_DUPLICATES, DumpKey
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, by_part, locate
from tonsai_pipeline.stages.deduplicate.tables import KEPT_FILE
from tonsai_pipeline.storage.documents import read_part, take_batches, write_part
from tonsai_pipeline.storage.sorted_arrays import load_array
from tonsai_pipeline.storage.store import Artifact

GROUPS_FILE = "groups.parquet"

_TOTALS = ("num_documents", "num_kept", "num_exact", "num_near", "num_contaminated")
_NUM_PAIRS = 20
_NUM_GROUPS = 10
_EXCERPT_CHARS = 400
#: Smaller groups never cross the guard: in a corpus of a hundred documents every pair is a percent.
_MIN_GUARDED_GROUP = 100


@dataclass(frozen=True)
class Summary:
    """What deduplication did to the corpus.

    Args:
        num_documents: Documents before.
        num_kept: Documents after.
        num_exact: Dropped as exact copies.
        num_near: Dropped as near duplicates.
        num_contaminated: Dropped because they hold text of an evaluation set.
        num_groups: Groups of two or more.
        num_pairs: Pairs that were compared exactly.
        by_dump: Counts by dump key.
        by_source: Documents and drops by source; `num_lost` leaves out copies of the source's own earlier dumps.
        matrix: Dropped documents by dump (rows) and dump of the kept duplicate (columns).
        group_sizes: How many groups have which size; sizes from 10 on are counted by powers of ten.
        largest_groups: The largest groups, with the beginning of the kept text.
        pairs: Random dropped documents beside their kept duplicates.
        violations: What crossed a guard; empty if all is well.
    """

    num_documents: int
    num_kept: int
    num_exact: int
    num_near: int
    num_contaminated: int
    num_groups: int
    num_pairs: int
    by_dump: Mapping[str, Mapping[str, float]]
    by_source: Mapping[str, Mapping[str, int]]
    matrix: Mapping[str, Mapping[str, int]]
    group_sizes: Mapping[str, int]
    largest_groups: list[Mapping[str, Any]]
    pairs: list[Mapping[str, Any]]
    violations: list[str]


def summarize(
    dumps: tuple[PlacedDump, ...],
    decisions: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    config: DedupConfig,
    engine: Engine,
) -> Summary:
    """Write the table of groups and count everything.

    Args:
        dumps: The corpus, decided.
        decisions: The artifact of each dump's decisions.
        folder: The building folder.
        config: Of the recipe's `dedup` section: the guards.
        engine: Where parts are read.
    """
    groups = _groups(dumps)
    ids = _write_groups(dumps, groups, folder)
    by_dump = {str(key): artifact.report for key, artifact in decisions.items()}
    total = {name: sum(counts[name] for counts in by_dump.values()) for name in _TOTALS}
    matrix = _matrix(dumps)
    by_source = _by_source(dumps, matrix)
    largest, pairs = _choose_largest(groups), _choose_pairs(dumps)
    shown = [
        *groups.doc_indices[largest].tolist(),
        *(n for pair in pairs for n in pair.doc_indices),
    ]
    texts = _excerpts(dumps, shown, folder, engine)
    return Summary(
        **total,
        num_pairs=sum(counts["num_pairs"] for counts in by_dump.values()),
        num_groups=len(groups.doc_indices),
        by_dump=by_dump,
        by_source=by_source,
        matrix=matrix,
        group_sizes=_size_histogram(groups.sizes),
        largest_groups=[_show_group(groups, int(index), ids, texts) for index in largest],
        pairs=[_show_pair(dumps, pair, texts) for pair in pairs],
        violations=_violations(total["num_documents"], by_source, groups, ids, config),
    )


@dataclass(frozen=True)
class _Groups:
    """Groups of two or more: parallel arrays by ascending document index of the kept document."""

    doc_indices: np.ndarray
    sizes: np.ndarray
    num_dumps: np.ndarray


def _groups(dumps: tuple[PlacedDump, ...]) -> _Groups:
    """Count the members of every group; holds one dump's decisions at a time."""
    kept, counts, foreign = (
        [np.zeros(0, np.int64)],
        [np.zeros(0, np.int64)],
        [np.zeros(0, np.int64)],
    )
    for dump in dumps:
        kept_duplicates = _kept_duplicates(dump)
        found, num = np.unique(kept_duplicates[kept_duplicates >= 0], return_counts=True)
        kept.append(found)
        counts.append(num)
        is_foreign = (found < dump.base) | (found >= dump.base + dump.num_docs)
        foreign.append(is_foreign.astype(np.int64))
    doc_indices, place = np.unique(np.concatenate(kept), return_inverse=True)
    sizes = np.ones(len(doc_indices), np.int64)
    num_dumps = np.ones(len(doc_indices), np.int64)
    np.add.at(sizes, place, np.concatenate(counts))
    np.add.at(num_dumps, place, np.concatenate(foreign))
    return _Groups(doc_indices, sizes, num_dumps)


def _write_groups(dumps: tuple[PlacedDump, ...], groups: _Groups, folder: Path) -> pa.Array:
    """Write the table of groups; return the ids of the kept documents."""
    tables = [read_part(dump.decided / KEPT_FILE) for dump in dumps]
    kept_duplicates = pa.concat_tables([KEPT_DUPLICATES.empty_table(), *tables])
    _, first = np.unique(kept_duplicates.column("doc_index").to_numpy(), return_index=True)
    ids = kept_duplicates.column("doc_id").take(pa.array(first)).combine_chunks()
    address = locate(dumps, groups.doc_indices)
    keys = pa.array([dump.key for dump in dumps], pa.string())
    parts = pa.array([name for dump in dumps for name in dump.part_names], pa.string())
    first_part = np.cumsum([0, *(len(dump.part_names) for dump in dumps)])
    table = pa.table(
        {
            "dump": keys.take(pa.array(address.dump)),
            "part": parts.take(pa.array(first_part[address.dump] + address.part)),
            "row_in_part": pa.array(address.row, pa.int32()),
            "doc_id": ids,
            "group_size": pa.array(groups.sizes, pa.int32()),
            "num_dumps": pa.array(groups.num_dumps, pa.int32()),
        }
    )
    write_part(folder / GROUPS_FILE, [table], DUPLICATE_GROUPS)
    return ids


def _matrix(dumps: tuple[PlacedDump, ...]) -> dict[str, dict[str, int]]:
    matrix: dict[str, dict[str, int]] = {}
    for dump in dumps:
        kept_duplicates = _kept_duplicates(dump)
        owners = locate(dumps, kept_duplicates[kept_duplicates >= 0]).dump
        counts = np.bincount(owners, minlength=len(dumps))
        matrix[dump.key] = {other.key: int(n) for other, n in zip(dumps, counts, strict=True) if n}
    return matrix


def _by_source(
    dumps: tuple[PlacedDump, ...], matrix: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    sources: dict[str, dict[str, int]] = {}
    for dump in dumps:
        counts = sources.setdefault(
            dump.key.source, {"num_documents": 0, "num_dropped": 0, "num_lost": 0}
        )
        counts["num_documents"] += dump.num_docs
        for other, num_dropped in matrix[dump.key].items():
            counts["num_dropped"] += num_dropped
            if other == dump.key or DumpKey(other).source != dump.key.source:
                counts["num_lost"] += num_dropped
    return sources


def _size_histogram(sizes: np.ndarray) -> dict[str, int]:
    histogram: dict[str, int] = {}
    for low, high in [(n, n) for n in range(2, 10)] + [
        (10**p, 10 ** (p + 1) - 1) for p in range(1, 9)
    ]:
        count = int(((sizes >= low) & (sizes <= high)).sum())
        if count:
            histogram[str(low) if low == high else f"{low}-{high}"] = count
    return histogram


def _choose_largest(groups: _Groups) -> np.ndarray:
    """Return the places of the largest groups, the largest first."""
    return np.lexsort((groups.doc_indices, -groups.sizes))[:_NUM_GROUPS]


def _show_group(
    groups: _Groups, index: int, ids: pa.Array, texts: Mapping[int, str]
) -> Mapping[str, Any]:
    return {
        "doc_id": ids[index].as_py(),
        "group_size": int(groups.sizes[index]),
        "num_dumps": int(groups.num_dumps[index]),
        "text": texts[int(groups.doc_indices[index])],
    }


class _Pair(NamedTuple):
    """A dropped document and its kept duplicate; ordered by luck."""

    luck: int
    doc_indices: tuple[int, int]
    similarity: float
    is_copy: bool


def _choose_pairs(dumps: tuple[PlacedDump, ...]) -> list[_Pair]:
    """Choose dropped documents by a hash of their document index: random, and the same each time."""
    chosen: list[_Pair] = []
    for dump in dumps:
        kept_duplicates = _kept_duplicates(dump)
        rows = np.flatnonzero(kept_duplicates >= 0)
        luck = mix64_array((rows + dump.base).astype(np.uint64))
        similarity, is_copy = _column(dump, "similarity"), _column(dump, "is_copy")
        for place in np.argsort(luck, kind="stable")[:_NUM_PAIRS]:
            row = int(rows[place])
            doc_indices = (row + dump.base, int(kept_duplicates[row]))
            chosen.append(
                _Pair(int(luck[place]), doc_indices, float(similarity[row]), bool(is_copy[row]))
            )
    return sorted(chosen)[:_NUM_PAIRS]


def _show_pair(
    dumps: tuple[PlacedDump, ...], pair: _Pair, texts: Mapping[int, str]
) -> Mapping[str, Any]:
    dropped, kept = (dumps[index].key for index in locate(dumps, np.array(pair.doc_indices)).dump)
    return {
        "similarity": round(pair.similarity, 4),
        "reason": "exact" if pair.is_copy else "near",
        "dropped_dump": dropped,
        "kept_dump": kept,
        "dropped": texts[pair.doc_indices[0]],
        "kept": texts[pair.doc_indices[1]],
    }


def _excerpts(
    dumps: tuple[PlacedDump, ...], doc_indices: Sequence[int], folder: Path, engine: Engine
) -> dict[int, str]:
    """Read the beginnings of some documents, each part once; return them by document index."""
    wanted = np.unique(np.array(doc_indices, dtype=np.int64))
    address = locate(dumps, wanted)
    chosen = by_part(address)
    parts = [
        Part(
            f"excerpts-{dump:05d}-{part:05d}",
            (dumps[dump].normalized / dumps[dump].part_names[part], address.row[places]),
        )
        for (dump, part), places in chosen.items()
    ]
    results = map_parts(engine, _read_excerpts, parts, folder=folder, label="excerpts")
    return {
        int(doc_index): text
        for places, result in zip(chosen.values(), results, strict=True)
        for doc_index, text in zip(wanted[places], result["texts"], strict=True)
    }


def _read_excerpts(payload: tuple[Path, np.ndarray], folder: Path) -> dict[str, Any]:
    del folder
    path, rows = payload
    texts = [
        text.as_py()[:_EXCERPT_CHARS]
        for batch in take_batches(path, rows, ["text"])
        for text in batch.column("text")
    ]
    return {"texts": texts}


def _violations(
    num_documents: int,
    by_source: Mapping[str, Mapping[str, int]],
    groups: _Groups,
    ids: pa.Array,
    config: DedupConfig,
) -> list[str]:
    found = []
    for source, counts in by_source.items():
        frac = counts["num_lost"] / max(1, counts["num_documents"])
        if frac > config.max_dropped_frac:
            found.append(
                f"source '{source}' loses {frac:.1%} of its {counts['num_documents']:,} documents; "
                f"dedup.max_dropped_frac is {config.max_dropped_frac:.1%}"
            )
    if len(groups.sizes):
        largest = int(np.argmax(groups.sizes))
        size = int(groups.sizes[largest])
        if size >= _MIN_GUARDED_GROUP and size / num_documents > config.max_group_frac:
            found.append(
                f"the group of '{ids[largest].as_py()}' has {size:,} members, {size / num_documents:.1%} of the "
                f"corpus; dedup.max_group_frac is {config.max_group_frac:.1%}"
            )
    return found


def _kept_duplicates(dump: PlacedDump) -> np.ndarray:
    return np.array(_column(dump, "kept_duplicates"))


def _column(dump: PlacedDump, name: str) -> np.ndarray:
    return load_array(dump.decided / f"{name}.npy", mapped=True)
