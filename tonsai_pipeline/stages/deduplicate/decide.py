"""A scope of dumps -> who stays, who goes and for whom: exact copies, candidates, rounds, in this order.

runs ──▶ exact copies ──▶ buckets ──rounds──▶ decisions by document index
             └─────────── copies follow the fate of what they copy ─────▶ Verdict
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonsai_pipeline.dedup.exact import NOT_DUPLICATE
from tonsai_pipeline.dedup.greedy import CONTAMINATED, DROPPED, KEPT, Decisions, follow
from tonsai_pipeline.dedup.verify import Measure
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.stages.deduplicate.corpus import Scope, locate
from tonsai_pipeline.stages.deduplicate.join import join_bands, join_exact
from tonsai_pipeline.stages.deduplicate.rounds import RoundCounts, Verification, decide
from tonsai_pipeline.stages.sign.stage import scheme_of
from tonsai_pipeline.storage.sorted_arrays import load_array


@dataclass(frozen=True)
class Verdict:
    """What is decided about the current dumps; arrays by document index less the scope's base, shape (num_docs,).

    Args:
        kept_duplicates: Document index of the kept duplicate, `CONTAMINATED`, or `NOT_DUPLICATE` where the document stays; int64.
        similarity: Similarity to the kept duplicate, overlap with the evaluation item, or 0; float64.
        is_copy: Whether the kept duplicate has the same text; bool.
        counts: What the rounds did.
    """

    kept_duplicates: np.ndarray
    similarity: np.ndarray
    is_copy: np.ndarray
    counts: RoundCounts


def decide_scope(
    scope: Scope, overlaps: np.ndarray, folder: Path, *, config: DedupConfig, engine: Engine
) -> Verdict:
    """Decide every document of the current dumps.

    Args:
        scope: The dumps.
        overlaps: Overlap of each contaminated document with its evaluation item, 0 for the others; float64, by
            document index less the scope's base, shape (num_docs,).
        folder: The building folder.
        config: The recipe's `dedup` section.
        engine: Where parts are processed.
    """
    decisions, counts = Decisions.start(scope.num_docs), RoundCounts(0, 0, 0)
    firsts = np.full(scope.num_docs, NOT_DUPLICATE, np.int64)
    is_bad = overlaps > 0
    if config.enabled and scope.num_docs:
        firsts = join_exact(scope, folder, engine=engine)
        is_open = (firsts == NOT_DUPLICATE) & ~is_bad
        decisions.status[~is_open] = DROPPED
        ranges = join_bands(scope, is_open, folder, num_bands=config.num_bands, engine=engine)
        verification = Verification(
            scheme_of(config.signatures), config.min_similarity, Measure(config.measure)
        )
        decisions, counts = decide(
            scope, ranges, decisions, folder, verification=verification, engine=engine
        )
        decisions = _follow_copies(scope, decisions, firsts)
    # Equal texts overlap equally, so that whatever copies a contaminated document is contaminated as well.
    kept_duplicates = np.where(is_bad, CONTAMINATED, decisions.kept_duplicates)
    similarity = np.where(is_bad, overlaps, decisions.similarity)
    return Verdict(
        kept_duplicates, similarity, (kept_duplicates >= 0) & (kept_duplicates == firsts), counts
    )


def _follow_copies(scope: Scope, decisions: Decisions, firsts: np.ndarray) -> Decisions:
    """Look up what became of the copied documents of earlier dumps, and apply it to the copies."""
    copied = np.unique(firsts[(firsts != NOT_DUPLICATE) & (firsts < scope.base)])
    known = Decisions.start(len(copied))
    dump_of = locate(scope.dumps, copied).dump
    for index in np.unique(dump_of):
        chosen = dump_of == index
        rows = copied[chosen] - scope.dumps[index].base
        folder = scope.dumps[index].decided
        known.kept_duplicates[chosen] = load_array(folder / "kept_duplicates.npy", mapped=True)[
            rows
        ]
        known.similarity[chosen] = load_array(folder / "similarity.npy", mapped=True)[rows]
    known.status[:] = np.where(known.kept_duplicates == NOT_DUPLICATE, KEPT, DROPPED)
    return follow(decisions, firsts, known, copied, base=scope.base)
