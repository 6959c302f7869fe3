"""Evaluation sets and one dump -> documents of the dump that hold text of an evaluation item.

    evaluation files ──normalize, fold, n-grams──▶ index, once
    normalized_documents[dump] ──fold, n-grams, look up──▶ part-*.parquet, rows.npy     once per dump

Every dump stands alone here: a new dump is searched by itself, and only another evaluation set searches all again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.contamination import EvaluationIndex, find_overlaps, index_items
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION, Shingles, shingle
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.dedup import DecontaminateConfig, EvaluationSet
from tonsai_pipeline.schema import CONTAMINATED_DOCUMENTS, EVALUATION_ITEMS
from tonsai_pipeline.storage.documents import read_batches, read_part, write_part
from tonsai_pipeline.storage.dumps import BadRow, HubLocation, read_dump_file
from tonsai_pipeline.storage.files import digest_file
from tonsai_pipeline.storage.runs import load_array, save_array
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import NORMALIZER_VERSION, normalize_batch_report
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION, dedup_key_batch

VERSION = f"1+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}"

EVALUATION_ASSET = "deduplicated_documents.evaluation"
CONTAMINATED_ASSET = "deduplicated_documents.contaminated"

_ITEMS_FILE = "items.parquet"
_ARRAYS = ("hashes", "offsets", "items", "sizes", "sieve")


def evaluation_inputs(config: DecontaminateConfig) -> dict[str, str]:
    """Return the content of every evaluation set by name, as an artifact's inputs name it.

    A file is named by its bytes, a Hub data set by its id, configuration, split and revision.

    Raises:
        DataError: A file is missing.
    """
    return {f"evaluation/{one.name}": _identity(one) for one in config.evaluation_sets}


def make_evaluation_index(config: DecontaminateConfig, *, store: Store) -> Artifact:
    """Return the n-grams of all evaluation sets.

    Raises:
        DataError: A file is missing or a row of it cannot be read; the message names both.
    """
    return store.materialize(
        EVALUATION_ASSET,
        None,
        lambda folder: _write_index(config, folder),
        stage_version=f"{VERSION}+text{NORMALIZER_VERSION}",
        settings={
            "clusters_per_ngram": config.clusters_per_ngram,
            "words_per_ngram": config.words_per_ngram,
            "columns": {one.name: list(one.text_columns) for one in config.evaluation_sets},
        },
        inputs=evaluation_inputs(config),
    )


def find_contaminated(
    dump: str,
    normalized: Artifact,
    evaluation: Artifact,
    config: DecontaminateConfig,
    *,
    engine: Engine,
    store: Store,
) -> Artifact:
    """Return the documents of a dump that hold text of an evaluation item.

    Args:
        dump: Dump key.
        normalized: Its normalized_documents.
        evaluation: From `make_evaluation_index`.
        config: The recipe's `dedup.decontaminate` section.
        engine: Where parts are searched.
        store: Where the result is kept.
    """
    return store.materialize(
        CONTAMINATED_ASSET,
        dump,
        lambda folder: _search(normalized, evaluation, config, folder, engine),
        stage_version=VERSION,
        settings={"min_overlap_frac": config.min_overlap_frac},
        inputs={
            "normalized_documents": normalized.data_version,
            "evaluation": evaluation.data_version,
        },
    )


def contaminated_rows(found: Artifact, starts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a dump's contaminated documents, numbered through the dump, and their overlaps.

    Args:
        found: From `find_contaminated`.
        starts: First row of each part within the dump.
    """
    numbers = {path.name: number for number, path in enumerate(found.parts())}
    rows, fracs = [np.zeros(0, np.int64)], [np.zeros(0, np.float64)]
    for path in found.parts():
        table = read_part(path, ["row_in_part", "overlap_frac"])
        rows.append(table.column("row_in_part").to_numpy() + starts[numbers[path.name]])
        fracs.append(table.column("overlap_frac").to_numpy().astype(np.float64))
    return np.concatenate(rows), np.concatenate(fracs)


def contamination_report(
    evaluation: Artifact, found: Mapping[str, Artifact], *, num_examples: int
) -> dict[str, Any]:
    """Count items and contaminated documents by set and dump, and show some beside their items.

    Args:
        evaluation: From `make_evaluation_index`.
        found: From `find_contaminated`, by dump.
        num_examples: Documents shown: those that hold most of an item.
    """
    by_set: dict[str, dict[str, int]] = {
        name: {**counts, "num_documents": 0} for name, counts in evaluation.report["sets"].items()
    }
    rows: list[dict[str, Any]] = []
    for dump, artifact in found.items():
        for name, count in artifact.report["by_set"].items():
            by_set[name]["num_documents"] += count
        rows += [{"dump": dump, **row} for row in artifact.report["examples"]]
    rows.sort(key=lambda row: (-row["overlap_frac"], row["dump"], row["doc_id"]))
    return {
        "num_documents": sum(counts["num_documents"] for counts in by_set.values()),
        "by_set": by_set,
        "by_dump": {dump: artifact.report["num_documents"] for dump, artifact in found.items()},
        "examples": rows[:num_examples],
    }


def _identity(one: EvaluationSet) -> str:
    if one.hub is not None:
        return _location(one)
    assert one.path is not None, "a set has a path or a Hub id"
    if not one.path.is_file():
        raise DataError(f"evaluation set '{one.name}': {one.path}: no such file")
    return digest_file(one.path)


def _location(one: EvaluationSet) -> str:
    if one.hub is None:
        return str(one.path)
    hub = one.hub
    return HubLocation(
        hub.id, hub.config, hub.split, hub.revision, hub.streaming, hub.max_samples
    ).url


def _write_index(config: DecontaminateConfig, folder: Path) -> dict[str, Any]:
    """Read all sets and write their n-grams; return counts by set, and of items with at most one n-gram."""
    sets, names, texts = [], [], []
    for one in config.evaluation_sets:
        for name, text in _read_items(one):
            sets.append(one.name)
            names.append(name)
            texts.append(text)
    canonical = normalize_batch_report(pa.array(texts, pa.large_string()))[0]
    ngrams = _ngrams(canonical, config)
    index = index_items(ngrams)
    for name in _ARRAYS:
        save_array(folder / f"{name}.npy", getattr(index, name))
    table = pa.table(
        {
            "evaluation_set": pa.array(sets, pa.string()),
            "item": pa.array(names, pa.string()),
            "num_ngrams": pa.array(index.sizes),
            "text": canonical,
        }
    )
    write_part(folder / _ITEMS_FILE, [table], EVALUATION_ITEMS)
    num_items = Counter(sets)
    num_short = Counter(np.array(sets, dtype=object)[index.sizes <= 1].tolist())
    return {
        "sets": {
            one.name: {"num_items": num_items[one.name], "num_short_items": num_short[one.name]}
            for one in config.evaluation_sets
        }
    }


def _read_items(one: EvaluationSet) -> Iterator[tuple[str, str]]:
    """Yield (column/row, text) of every item; a row without that field has none."""
    for column in one.text_columns:
        for record in read_dump_file(_location(one), format=one.format, text_column=column):
            if not isinstance(record, BadRow):
                yield f"{column}/{record.row}", record.text
            elif record.reason != "missing_text":
                raise DataError(
                    f"evaluation set '{one.name}', column '{column}', row {record.row}: "
                    f"{record.reason}: {record.detail}"
                )


def _ngrams(texts: pa.Array, config: DecontaminateConfig) -> Shingles:
    return shingle(
        dedup_key_batch(texts),
        clusters_per_shingle=config.clusters_per_ngram,
        words_per_shingle=config.words_per_ngram,
    )


@dataclass(frozen=True)
class _SearchTask:
    path: Path
    evaluation: Path
    config: DecontaminateConfig


def _search(
    normalized: Artifact,
    evaluation: Artifact,
    config: DecontaminateConfig,
    folder: Path,
    engine: Engine,
) -> dict[str, Any]:
    parts = [
        Part(path.stem, _SearchTask(path, evaluation.path, config)) for path in normalized.parts()
    ]
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


_NUM_EXAMPLES = 20
_EXCERPT_CHARS = 300


def _search_part(task: _SearchTask, folder: Path) -> dict[str, Any]:
    """Search one part, one row group at a time; it is written even if nothing is found."""
    index = EvaluationIndex(*(load_array(task.evaluation / f"{name}.npy") for name in _ARRAYS))
    items = read_part(task.evaluation / _ITEMS_FILE, ["evaluation_set", "item", "text"])
    by_set: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []

    def found() -> Iterator[pa.Table]:
        first = 0
        for batch in read_batches(task.path, ["doc_id", "text"]):
            overlaps = find_overlaps(_ngrams(batch.column("text"), task.config), index)
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
