"""One dump and the n-grams of the evaluation sets -> documents of the dump that hold text of an item.

    normalized_documents[dump] ──fold, n-grams, look up──▶ part-*.parquet, one for each normalized part

Every dump stands alone here: a new dump is searched by itself, and only another evaluation set searches all again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.contamination import EvaluationIndex, find_overlaps
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.lineage import Fields, Stage, Table, same_dump, whole
from tonsai_pipeline.recipe.dedup import DecontaminateConfig
from tonsai_pipeline.schema import CONTAMINATED_DOCUMENTS
from tonsai_pipeline.stages.decontaminate import evaluation_sets
from tonsai_pipeline.stages.decontaminate.evaluation_sets import ARRAYS, ITEMS_FILE, ngrams_of
from tonsai_pipeline.storage.documents import read_batches, read_part, write_part
from tonsai_pipeline.storage.sorted_arrays import load_array
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION

#: Documents shown in the report: those that hold most of an item.
_NUM_EXAMPLES = 20
_EXCERPT_CHARS = 300


def find_contaminated(
    normalized: Artifact,
    evaluation: Artifact,
    folder: Path,
    *,
    config: DecontaminateConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Find the documents of a dump that hold text of an evaluation item; count them by set and show some.

    Args:
        normalized: The dump's normalized_documents.
        evaluation: The n-grams of all evaluation sets; of none, nothing is searched.
        folder: The building folder.
        config: The recipe's `dedup.decontaminate` section.
        engine: Where parts are searched.
    """
    paths = normalized.parts() if evaluation.report["sets"] else []
    parts = [Part(path.stem, _SearchTask(path, evaluation.path, config)) for path in paths]
    results = map_parts(engine, _search_part, parts, folder=folder, label="decontaminate")
    by_set: Counter[str] = Counter()
    for result in results:
        by_set.update(result["by_set"])
    examples = [example for result in results for example in result["examples"]]
    examples.sort(key=lambda row: (-row["overlap_frac"], row["doc_id"]))
    return {
        "num_documents": sum(by_set.values()),
        "by_set": dict(sorted(by_set.items())),
        "examples": examples[:_NUM_EXAMPLES],
    }


def contaminated_rows(found: Artifact, starts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a dump's contaminated documents, numbered through the dump, and their overlaps.

    Args:
        found: contaminated_documents.
        starts: First row of each part within the dump.
    """
    numbers = {path.name: number for number, path in enumerate(found.parts())}
    rows, fracs = [np.zeros(0, np.int64)], [np.zeros(0, np.float64)]
    for path in found.parts():
        table = read_part(path, ["row_in_part", "overlap_frac"])
        rows.append(table.column("row_in_part").to_numpy() + starts[numbers[path.name]])
        fracs.append(table.column("overlap_frac").to_numpy().astype(np.float64))
    return np.concatenate(rows), np.concatenate(fracs)


@dataclass(frozen=True)
class _SearchTask:
    path: Path
    evaluation: Path
    config: DecontaminateConfig


def _search_part(task: _SearchTask, folder: Path) -> dict[str, Any]:
    """Search one part, one row group at a time; it is written even if nothing is found."""
    index = EvaluationIndex(*(load_array(task.evaluation / f"{name}.npy") for name in ARRAYS))
    items = read_part(task.evaluation / ITEMS_FILE, ["evaluation_set", "item", "text"])
    by_set: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []

    def found() -> Iterator[pa.Table]:
        first = 0
        for batch in read_batches(task.path, ["doc_id", "text"]):
            overlaps = find_overlaps(ngrams_of(batch.column("text"), task.config), index)
            rows = np.flatnonzero(overlaps.fracs >= task.config.min_overlap_frac)
            said = items.take(pa.array(overlaps.items[rows]))
            hit = batch.take(pa.array(rows))
            by_set.update(said.column("evaluation_set").to_pylist())
            table = pa.table(
                {
                    "doc_id": hit.column("doc_id"),
                    "row_in_part": pa.array(rows + first, pa.int32()),
                    "evaluation_set": said.column("evaluation_set"),
                    "evaluation_item": said.column("item"),
                    "overlap_frac": pa.array(overlaps.fracs[rows]),
                }
            )
            examples.extend(_examples(table, said, hit))
            first += batch.num_rows
            if len(rows):
                yield table

    write_part(folder / task.path.name, found(), CONTAMINATED_DOCUMENTS)
    examples.sort(key=lambda row: (-row["overlap_frac"], row["doc_id"]))
    return {"by_set": dict(by_set), "examples": examples[:_NUM_EXAMPLES]}


def _examples(table: pa.Table, items: pa.Table, hit: pa.RecordBatch) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "overlap_frac": round(row["overlap_frac"], 4),
            "item_text": item[:_EXCERPT_CHARS],
            "document": document[:_EXCERPT_CHARS],
        }
        for row, item, document in zip(
            table.select(
                ["doc_id", "evaluation_set", "evaluation_item", "overlap_frac"]
            ).to_pylist(),
            items.column("text").to_pylist(),
            hit.column("text").to_pylist(),
            strict=True,
        )
    ]


STAGE = Stage(
    "contaminated_documents",
    version=f"2+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}",
    make=find_contaminated,
    each_dump=True,
    fields={
        "config": Fields(
            "dedup.decontaminate",
            only=("clusters_per_ngram", "words_per_ngram", "min_overlap_frac"),
        )
    },
    reads={
        "normalized": same_dump("normalized_documents"),
        "evaluation": whole("evaluation_ngrams"),
    },
    table=Table(
        CONTAMINATED_DOCUMENTS,
        same="normalized",
        made_from={"row_in_part": ("normalized.doc_id",), "*": ("normalized.text",)},
    ),
)

STAGES = (evaluation_sets.STAGE, STAGE)
