"""Decisions -> keep-lists and dropped documents of one dump, part by part.

    kept_duplicates (num_docs,) ──▶ part-*.parquet            rows that stay
                      ├─▶ dropped/part-*.parquet    rows that go, and for which kept document
                      └─▶ kept_duplicates.parquet             those kept documents

Part names are those of normalized_documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.exact import NOT_DUPLICATE
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.schema import DROPPED_DOCUMENTS, KEPT_DOCUMENTS, KEPT_DUPLICATES, DedupReason
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, by_part, locate
from tonsai_pipeline.storage.documents import read_part, take_batches, write_part
from tonsai_pipeline.storage.sorted_arrays import load_array, save_array

KEPT_FILE = "kept_duplicates.parquet"


@dataclass(frozen=True)
class _TableTask:
    """One part of the dump that is written."""

    dumps: tuple[PlacedDump, ...]
    current: PlacedDump
    part: int
    work: Path
    contaminated: Path


@dataclass(frozen=True)
class _IdTask:
    """Rows of some parts whose document ids are wanted."""

    chosen: tuple[tuple[Path, np.ndarray], ...]
    output: Path


def write_tables(
    dumps: tuple[PlacedDump, ...],
    kept_duplicates: np.ndarray,
    folder: Path,
    *,
    contaminated: Path,
    engine: Engine,
) -> dict[str, int]:
    """Write the tables of a dump.

    Args:
        dumps: The corpus up to the dump that is written, which is the last.
        kept_duplicates: Document index of the kept duplicate, `CONTAMINATED`, or `NOT_DUPLICATE` for a kept document; int64, shape
            (num_docs,). The same array lies in the folder as `kept_duplicates.npy`, beside `similarity.npy` and
            `is_copy.npy`.
        folder: The building folder.
        contaminated: Folder of the dump's contaminated documents.
        engine: Where parts are processed.

    Returns:
        Counts: documents kept, dropped as exact copies, as near duplicates, as contaminated.
    """
    current, work = dumps[-1], folder / ".work" / "tables"
    kept = np.unique(kept_duplicates[kept_duplicates >= 0])
    ids = _document_ids(dumps, kept, folder, work, engine=engine)
    write_part(folder / KEPT_FILE, [pa.table({"doc_index": kept, "doc_id": ids})], KEPT_DUPLICATES)
    is_local = (kept_duplicates >= current.base) & (
        kept_duplicates < current.base + current.num_docs
    )
    local = kept_duplicates[is_local] - current.base
    save_array(work / "group_sizes.npy", 1 + np.bincount(local, minlength=current.num_docs))
    parts = [
        Part(f"tables-{Path(name).stem}", _TableTask(dumps, current, index, work, contaminated))
        for index, name in enumerate(current.part_names)
    ]
    results = map_parts(engine, _write_part_tables, parts, folder=folder, label="keep-lists")
    return {key: sum(result[key] for result in results) for key in _COUNTS}


_COUNTS = ("num_kept", "num_exact", "num_near", "num_contaminated")
_IDS = pa.schema([pa.field("doc_id", pa.string())])
#: Ids are a few milliseconds a part, no more than a task costs by itself.
_PARTS_PER_ID_TASK = 8


def _document_ids(
    dumps: tuple[PlacedDump, ...],
    doc_indices: np.ndarray,
    folder: Path,
    work: Path,
    *,
    engine: Engine,
) -> pa.Array:
    """Return the ids of some documents, which are ascending and without repeats."""
    address = locate(dumps, doc_indices)
    chosen = [
        (dumps[dump].signatures / dumps[dump].part_names[part], address.row[places])
        for (dump, part), places in by_part(address).items()
    ]
    tasks = [
        _IdTask(
            tuple(chosen[first : first + _PARTS_PER_ID_TASK]), work / f"ids-{first:06d}.parquet"
        )
        for first in range(0, len(chosen), _PARTS_PER_ID_TASK)
    ]
    parts = [Part(task.output.stem, task) for task in tasks]
    map_parts(engine, _read_ids, parts, folder=folder, label="kept_duplicates")
    tables = [read_part(task.output) for task in tasks]
    return pa.concat_tables([_IDS.empty_table(), *tables]).column(0).combine_chunks()


def _read_ids(task: _IdTask, folder: Path) -> dict[str, Any]:
    del folder
    ids = [batch for path, rows in task.chosen for batch in take_batches(path, rows, ["doc_id"])]
    num_rows = write_part(task.output, [pa.Table.from_batches(ids).combine_chunks()], _IDS)
    return {"num_rows": num_rows}


def _write_part_tables(task: _TableTask, folder: Path) -> dict[str, Any]:
    """Write the keep-list and the dropped documents of one part."""
    current = task.current
    name = current.part_names[task.part]
    here = slice(current.starts[task.part], current.starts[task.part + 1])
    kept_duplicates = load_array(folder / "kept_duplicates.npy", mapped=True)[here]
    ids = read_part(current.signatures / name, ["doc_id"]).column(0).combine_chunks()
    kept = np.flatnonzero(kept_duplicates == NOT_DUPLICATE)
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
    gone = np.flatnonzero(kept_duplicates != NOT_DUPLICATE)
    is_copy = load_array(folder / "is_copy.npy", mapped=True)[here][gone]
    has_kept = kept_duplicates[gone] >= 0
    if len(gone):
        similarity = load_array(folder / "similarity.npy", mapped=True)[here][gone]
        columns = {
            "doc_id": ids.take(pa.array(gone)),
            "row_in_part": pa.array(gone, pa.int32()),
            "reason": pa.array(_reasons(is_copy, has_kept), pa.string()),
            "similarity": pa.array(similarity, pa.float32()),
            **_kept_columns(task, folder, np.array(kept_duplicates[gone]), has_kept),
            "evaluation_item": _evaluation_items(task, name, gone, has_kept),
        }
        write_part(folder / "dropped" / name, [pa.table(columns)], DROPPED_DOCUMENTS)
    counts = (
        len(kept),
        int(is_copy.sum()),
        int((has_kept & ~is_copy).sum()),
        int((~has_kept).sum()),
    )
    return dict(zip(_COUNTS, counts, strict=True))


def _reasons(is_copy: np.ndarray, has_kept: np.ndarray) -> np.ndarray:
    near = np.where(has_kept, DedupReason.NEAR.value, DedupReason.CONTAMINATED.value)
    return np.where(is_copy, DedupReason.EXACT.value, near)


def _kept_columns(
    task: _TableTask, folder: Path, kept_duplicates: np.ndarray, has_kept: np.ndarray
) -> dict[str, pa.Array]:
    """Return who the kept duplicate of each dropped document is and where it lies; null if there is none."""
    found = np.where(has_kept, kept_duplicates, 0)
    address = locate(task.dumps, found)
    kept = read_part(folder / KEPT_FILE)
    places = np.searchsorted(kept.column("doc_index").to_numpy(), found)
    dumps = [task.dumps[index] for index in address.dump]
    parts = [dump.part_names[part] for dump, part in zip(dumps, address.part, strict=True)]
    has_none = ~has_kept
    ids = kept.column("doc_id").combine_chunks().take(pa.array(places, mask=has_none))
    return {
        "kept_doc_id": ids,
        "kept_dump": pa.array(np.array([dump.key for dump in dumps], object), mask=has_none),
        "kept_part": pa.array(np.array(parts, object), mask=has_none),
        "kept_row_in_part": pa.array(address.row.astype(np.int32), mask=has_none),
    }


def _evaluation_items(
    task: _TableTask, name: str, gone: np.ndarray, has_kept: np.ndarray
) -> pa.Array:
    """Return the evaluation item of each contaminated document, null for the others."""
    items = np.full(len(gone), None, dtype=object)
    if not has_kept.all():
        table = read_part(task.contaminated / name)
        said = [
            f"{one}/{item}"
            for one, item in zip(
                table.column("evaluation_set").to_pylist(),
                table.column("evaluation_item").to_pylist(),
                strict=True,
            )
        ]
        items[np.searchsorted(gone, table.column("row_in_part").to_numpy())] = said
    return pa.array(items, pa.string())
