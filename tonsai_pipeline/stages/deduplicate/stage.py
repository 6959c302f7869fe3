"""Dump after dump: each one is decided after those before it, and only if they changed.

    dump 1 ──▶ decisions ──▶ dump 2 ──▶ decisions ──▶ ...      each an artifact, read by those that follow
    decisions of every dump ──summarize──▶ deduplicated_documents

A new dump adds a link; a changed dump k makes links k onward again; a reverted one finds all of them finished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import (
    Fields,
    Stage,
    Table,
    earlier_dumps,
    every_dump,
    same_dump,
    up_to_this_dump,
)
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.schema import KEPT_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.decontaminate.stage import contaminated_rows
from tonsai_pipeline.stages.deduplicate import index
from tonsai_pipeline.stages.deduplicate.corpus import Scope, place_all
from tonsai_pipeline.stages.deduplicate.decide import decide_scope
from tonsai_pipeline.stages.deduplicate.summary import Summary, summarize
from tonsai_pipeline.stages.deduplicate.tables import write_tables
from tonsai_pipeline.storage.sorted_arrays import save_array
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION

#: Version of joins, rounds and tables.
_VERSION = f"4+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}"


def decide_dump(
    normalized: Mapping[DumpKey, Artifact],
    signatures: Mapping[DumpKey, Artifact],
    indexes: Mapping[DumpKey, Artifact],
    decisions: Mapping[DumpKey, Artifact],
    contaminated: Artifact,
    folder: Path,
    *,
    config: DedupConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Decide which documents of the last dump stay, and write its keep-list and its dropped documents.

    Args:
        normalized: normalized_documents of the dumps up to this one, in the order of decisions.
        signatures: minhash_signatures of the same dumps.
        indexes: Their sorted runs.
        decisions: Decisions of the dumps before.
        contaminated: The dump's contaminated_documents.
        folder: The building folder.
        config: Of the recipe's `dedup` section: what a duplicate is.
        engine: Where parts are processed.

    Raises:
        DataError: Signatures do not match the normalized parts, or were made by another scheme.
    """
    dumps = place_all(normalized, signatures, indexes, decisions)
    dump = dumps[-1]
    overlaps = np.zeros(dump.num_docs)
    rows, fracs = contaminated_rows(contaminated, dump.starts)
    overlaps[rows] = fracs
    verdict = decide_scope(Scope(dumps), overlaps, folder, config=config, engine=engine)
    save_array(folder / "kept_duplicates.npy", verdict.kept_duplicates)
    save_array(folder / "similarity.npy", verdict.similarity.astype(np.float32))
    save_array(folder / "is_copy.npy", verdict.is_copy)
    counts = write_tables(
        dumps, verdict.kept_duplicates, folder, contaminated=contaminated.path, engine=engine
    )
    dropped_frac = 1.0 - counts["num_kept"] / dump.num_docs if dump.num_docs else 0.0
    return {
        "num_documents": dump.num_docs,
        "dropped_frac": dropped_frac,
        **counts,
        **asdict(verdict.counts),
    }


def deduplicate(
    normalized: Mapping[DumpKey, Artifact],
    signatures: Mapping[DumpKey, Artifact],
    decisions: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    config: DedupConfig,
    engine: Engine,
) -> Summary:
    """Sum up the decisions over all dumps; write the groups of duplicates.

    Args:
        normalized: normalized_documents of every dump, in the order of decisions.
        signatures: minhash_signatures of the same dumps.
        decisions: Decisions of the same dumps.
        folder: The building folder; gets `groups.parquet`.
        config: Of the recipe's `dedup` section: the guards.
        engine: Where parts are processed.
    """
    dumps = place_all(normalized, signatures, {}, decisions)
    return summarize(dumps, decisions, folder, config=config, engine=engine)


def dump_order(recipe: Recipe, keys: Sequence[DumpKey]) -> list[DumpKey]:
    """Return the dumps in the order in which they are decided: who comes first, stays.

    Args:
        recipe: Names preferred sources, or none.
        keys: Dump keys in catalog order.
    """
    ranks = {source: rank for rank, source in enumerate(recipe.dedup.prefer_sources)}
    return sorted(keys, key=lambda key: ranks.get(key.source, len(ranks)))


DECISIONS = Stage(
    "dedup_decisions",
    version=_VERSION,
    make=decide_dump,
    each_dump=True,
    part_of="deduplicated_documents",
    dump_order=dump_order,
    fields={
        "config": Fields(
            "dedup",
            only=(
                "enabled",
                "signatures",
                "num_bands",
                "rows_per_band",
                "min_similarity",
                "measure",
            ),
        )
    },
    reads={
        "normalized": up_to_this_dump("normalized_documents"),
        "signatures": up_to_this_dump("minhash_signatures"),
        "indexes": up_to_this_dump("dedup_index"),
        "decisions": earlier_dumps("dedup_decisions"),
        "contaminated": same_dump("contaminated_documents"),
    },
    table=Table(
        KEPT_DOCUMENTS,
        same="normalized",
        made_from={
            "row_in_part": ("normalized.doc_id",),
            "group_size": (
                "signatures.exact_high",
                "signatures.exact_low",
                "signatures.signature",
            ),
        },
    ),
)

STAGE = Stage(
    "deduplicated_documents",
    version=_VERSION,
    make=deduplicate,
    dump_order=dump_order,
    fields={"config": Fields("dedup", only=("max_dropped_frac", "max_group_frac"))},
    reads={
        "normalized": every_dump("normalized_documents"),
        "signatures": every_dump("minhash_signatures"),
        "decisions": every_dump("dedup_decisions"),
    },
)

STAGES = (index.STAGE, DECISIONS, STAGE)
