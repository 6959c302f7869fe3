"""Evaluation sets, and what the model will be measured on -> an index of their n-grams: what the corpus must not contain.

files ──read──▶ items ──normalize, fold, n-grams──▶ index arrays, items.parquet
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from tonsai_pipeline.catalog.locations import location_of
from tonsai_pipeline.dedup.contamination import index_items
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION, Shingles, shingle
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lineage import Fields, Stage
from tonsai_pipeline.metrics.suite import KHMER, load_suite
from tonsai_pipeline.recipe.dedup import DecontaminateConfig, EvaluationSet
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.schema import EVALUATION_ITEMS
from tonsai_pipeline.storage.documents import write_part
from tonsai_pipeline.storage.dumps import BadRow, RawRecord, read_dump_file
from tonsai_pipeline.storage.dumps.records import ReadOptions, to_record
from tonsai_pipeline.storage.sorted_arrays import save_array
from tonsai_pipeline.text import NORMALIZER_VERSION, normalize_batch_report
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION, dedup_key_batch

ITEMS_FILE = "items.parquet"
ARRAYS = ("hashes", "offsets", "items", "sizes", "sieve")


def index_evaluation_sets(
    folder: Path, *, config: DecontaminateConfig, measured: EvaluateConfig, engine: Engine
) -> dict[str, Any]:
    """Read all sets and write their n-grams; return counts by set, and of items with at most one n-gram.

    Args:
        folder: The building folder.
        config: Of the recipe's `dedup.decontaminate` section: the sets, and how long an n-gram is.
        measured: The recipe's `evaluate` section, `texts` only: texts for bits per byte are kept out as well.
        engine: Not used: the sets are small.

    Raises:
        DataError: A file is missing, a row of it cannot be read, or a column is in none; the message names both.
    """
    del engine
    sets, names, texts = [], [], []
    for set_name, name, text in _all_items(config, measured):
        sets.append(set_name)
        names.append(name)
        texts.append(text)
    canonical = normalize_batch_report(pa.array(texts, pa.large_string()))[0]
    ngrams = ngrams_of(canonical, config)
    index = index_items(ngrams)
    for name in ARRAYS:
        save_array(folder / f"{name}.npy", getattr(index, name))
    table = pa.table(
        {
            "evaluation_set": pa.array(sets, pa.string()),
            "item": pa.array(names, pa.string()),
            "num_ngrams": pa.array(index.sizes),
            "text": canonical,
        }
    )
    write_part(folder / ITEMS_FILE, [table], EVALUATION_ITEMS)
    num_items = Counter(sets)
    num_short = Counter(np.array(sets, dtype=object)[index.sizes <= 1].tolist())
    return {
        "sets": {
            name: {"num_items": num_items[name], "num_short_items": num_short[name]}
            for name in num_items
        }
    }


def _all_items(
    config: DecontaminateConfig, measured: EvaluateConfig
) -> Iterator[tuple[str, str, str]]:
    """Yield (set, column/row or id, text) of every item."""
    for one in config.evaluation_sets:
        for name, text in _read_items(one):
            yield one.name, name, text
    for text_set in measured.texts:
        as_set = EvaluationSet(
            name=text_set.name,
            path=text_set.path,
            hub=text_set.hub,
            format=text_set.format,
            text_columns=(text_set.text_column,),
        )
        for name, text in _read_items(as_set):
            yield text_set.name, name, text
    if config.prompt_suite:
        for item in load_suite():
            for text in item.asked:
                yield KHMER, item.id, text


def _read_items(one: EvaluationSet) -> Iterator[tuple[str, str]]:
    """Yield (column/row, text) of every item, reading the set once; a row without a field has no item of it."""
    alone = one.text_columns[0] if len(one.text_columns) == 1 else ""
    empty = set(one.text_columns)
    for record in read_dump_file(location_of(one), format=one.format, text_column=alone):
        for column in one.text_columns:
            found = record
            if not alone and isinstance(record, RawRecord):
                fields = orjson.loads(record.meta or "{}")
                options = ReadOptions(text_column=column)
                found = to_record(fields, row=record.row, byte_offset=None, options=options)
            if not isinstance(found, BadRow):
                empty.discard(column)
                yield f"{column}/{found.row}", found.text
            elif found.reason != "missing_text":
                raise DataError(
                    f"evaluation set '{one.name}', column '{column}', row {found.row}: "
                    f"{found.reason}: {found.detail}"
                )
    if empty:
        raise DataError(
            f"evaluation set '{one.name}': no row has text in column '{min(empty)}'; change text_columns"
        )


def ngrams_of(texts: pa.Array, config: DecontaminateConfig) -> Shingles:
    """Return the n-grams of texts, folded as the dedup key folds."""
    return shingle(
        dedup_key_batch(texts),
        clusters_per_shingle=config.clusters_per_ngram,
        words_per_shingle=config.words_per_ngram,
    )


STAGE = Stage(
    "evaluation_ngrams",
    version=f"4+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}+text{NORMALIZER_VERSION}",
    make=index_evaluation_sets,
    part_of="contaminated_documents",
    fields={
        "config": Fields("dedup.decontaminate", without=("min_overlap_frac",)),
        "measured": Fields("evaluate", only=("texts",)),
    },
)
