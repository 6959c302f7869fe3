"""Decisions -> keep-lists and dropped documents of one dump, part by part.

    twins (num_docs,) ──▶ part-*.parquet            rows that stay
                      └─▶ dropped/part-*.parquet    rows that go, and for which kept document

Part names are those of normalized_documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.exact import NO_TWIN
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.schema import DROPPED_DOCUMENTS, KEPT_DOCUMENTS, DropReason
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, by_part, locate
from tonsai_pipeline.storage.documents import read_part, take_batches, write_part
from tonsai_pipeline.storage.runs import load_array, save_array


@dataclass(frozen=True)
class _TableTask:
    """One part of the dump that is written."""

    dumps: tuple[PlacedDump, ...]
    part: int
    folder: Path
    work: Path


@dataclass(frozen=True)
class _IdTask:
    """Rows of one part whose document ids are wanted."""

    path: Path
    rows: np.ndarray
    output: Path


def write_tables(
    dumps: tuple[PlacedDump, ...], twins: np.ndarray, folder: Path, *, engine: Engine
) -> dict[str, int]:
    """Write both tables of the last dump.

    Args:
        dumps: The corpus up to and with the dump.
        twins: Ordinal of the kept twin, `NO_TWIN` for a kept document; int64, shape (num_docs,). The same
            array lies in the folder as `twins.npy`, beside `similarity.npy` and `is_copy.npy`.
        folder: The building folder.
        engine: Where parts are processed.

    Returns:
        Counts: documents kept, dropped as exact copies, dropped as near duplicates.
    """
    work = folder / ".work" / "tables"
    current = dumps[-1]
    wanted = np.unique(twins[twins != NO_TWIN])
    ids = document_ids(dumps, wanted, folder, work, engine=engine)
    save_array(work / "wanted.npy", wanted)
    write_part(work / "ids.parquet", [pa.table({"doc_id": ids})], _IDS)
    local = twins[twins >= current.base] - current.base
    save_array(work / "group_sizes.npy", 1 + np.bincount(local, minlength=current.num_docs))
    parts = [
        Part(f"tables-{Path(name).stem}", _TableTask(dumps, index, folder, work))
        for index, name in enumerate(current.part_names)
    ]
    results = map_parts(engine, _write_part_tables, parts, folder=folder, label="keep-lists")
    return {
        key: sum(result[key] for result in results) for key in ("num_kept", "num_exact", "num_near")
    }


def document_ids(
    dumps: tuple[PlacedDump, ...], ordinals: np.ndarray, folder: Path, work: Path, *, engine: Engine
) -> pa.Array:
    """Return the ids of some documents.

    Args:
        dumps: The corpus.
        ordinals: int64, ascending, without repeats.
        folder: The building folder.
        work: Where the ids of each part are left.
        engine: Where parts are read.
    """
    address = locate(dumps, ordinals)
    tasks = [
        _IdTask(
            dumps[dump].signatures / dumps[dump].part_names[part],
            address.row[chosen],
            work / f"ids-{dump:05d}-{part:05d}.parquet",
        )
        for (dump, part), chosen in by_part(address).items()
    ]
    parts = [Part(f"{work.name}-{task.output.stem}", task) for task in tasks]
    map_parts(engine, _read_ids, parts, folder=folder, label="twins")
    tables = [read_part(task.output) for task in tasks]
    return pa.concat_tables([_IDS.empty_table(), *tables]).column(0).combine_chunks()


_IDS = pa.schema([pa.field("doc_id", pa.string())])


def _read_ids(task: _IdTask, folder: Path) -> dict[str, Any]:
    del folder
    num_rows = write_part(task.output, take_batches(task.path, task.rows, ["doc_id"]), _IDS)
    return {"num_rows": num_rows}


def _write_part_tables(task: _TableTask, folder: Path) -> dict[str, Any]:
    """Write the keep-list and the dropped documents of one part."""
    current = task.dumps[-1]
    name = current.part_names[task.part]
    here = slice(current.starts[task.part], current.starts[task.part + 1])
    twins = load_array(folder / "twins.npy", mapped=True)[here]
    ids = read_part(current.signatures / name, ["doc_id"]).column(0).combine_chunks()
    kept = np.flatnonzero(twins == NO_TWIN)
    kept_table = pa.table(
        {
            "doc_id": ids.take(pa.array(kept)),
            "row_in_part": pa.array(kept, pa.int32()),
            "group_size": pa.array(
                load_array(task.work / "group_sizes.npy", mapped=True)[here][kept], pa.int32()
            ),
        }
    )
    write_part(folder / name, [kept_table], KEPT_DOCUMENTS)
    gone = np.flatnonzero(twins != NO_TWIN)
    is_copy = load_array(folder / "is_copy.npy", mapped=True)[here][gone]
    if len(gone):
        similarity = load_array(folder / "similarity.npy", mapped=True)[here][gone]
        table = _dropped_table(
            task, ids, gone, twins=np.array(twins[gone]), is_copy=is_copy, similarity=similarity
        )
        write_part(folder / "dropped" / name, [table], DROPPED_DOCUMENTS)
    num_exact = int(is_copy.sum())
    return {"num_kept": len(kept), "num_exact": num_exact, "num_near": len(gone) - num_exact}


def _dropped_table(
    task: _TableTask,
    ids: pa.Array,
    gone: np.ndarray,
    *,
    twins: np.ndarray,
    is_copy: np.ndarray,
    similarity: np.ndarray,
) -> pa.Table:
    address = locate(task.dumps, twins)
    places = np.searchsorted(load_array(task.work / "wanted.npy", mapped=True), twins)
    kept_ids = read_part(task.work / "ids.parquet").column(0).combine_chunks()
    dumps = [task.dumps[index] for index in address.dump]
    return pa.table(
        {
            "doc_id": ids.take(pa.array(gone)),
            "row_in_part": pa.array(gone, pa.int32()),
            "reason": pa.array(
                np.where(is_copy, DropReason.EXACT.value, DropReason.NEAR.value), pa.string()
            ),
            "similarity": pa.array(similarity, pa.float32()),
            "kept_doc_id": kept_ids.take(pa.array(places)),
            "kept_dump": pa.array([dump.key for dump in dumps]),
            "kept_part": pa.array(
                [dump.part_names[part] for dump, part in zip(dumps, address.part, strict=True)]
            ),
            "kept_row_in_part": pa.array(address.row, pa.int32()),
        }
    )
