"""Candidate pairs -> their exact similarity.

    shingle sets, pairs (num_pairs,) ──merge of sorted sets──▶ similarity (num_pairs,), below the limit: 0

A candidate that is not confirmed is not a duplicate: LSH alone calls thousands of templated pages one text.
A pair far below the limit is given up after the few shingles that prove it.

Source:
    Jaccard 1901; containment as in Broder 1997. That unverified bands over-merge by two thirds was measured
    by the Marin project (marin-community/marin, issue 6854 and pull request 7591).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.dedup.shingles import Shingles


class Measure(StrEnum):
    """How alike two documents are; both lie in 0..1."""

    #: Shared shingles over all shingles of both.
    JACCARD = "jaccard"
    #: Share of the later document's shingles that the earlier one has: also finds excerpts.
    CONTAINMENT = "containment"


def similarities(
    sets: Shingles,
    kept: np.ndarray,
    later: np.ndarray,
    *,
    min_similarity: float,
    measure: Measure = Measure.JACCARD,
) -> np.ndarray:
    """Measure every pair exactly.

    Args:
        sets: Shingle sets as `shingle_sets` makes them: sorted, without repeats.
        kept: Index into `sets` of the earlier document of each pair, int64, shape (num_pairs,).
        later: Index of the later one, same shape.
        min_similarity: Pairs below get 0 and are given up early; 0..1.
        measure: What is measured.

    Returns:
        float64, shape (num_pairs,). Two documents without shingles have similarity 0.

    Example:
        >>> sets = Shingles(np.array([1, 2, 3, 2, 3, 4], np.uint64), np.array([0, 3, 6]))
        >>> similarities(sets, np.array([0]), np.array([1]), min_similarity=0.5).tolist()
        [0.5]
    """
    if not 0.0 <= min_similarity <= 1.0:
        raise ValueError(f"min_similarity must be in 0..1, not {min_similarity}")
    found = np.zeros(len(kept), dtype=np.float64)
    _measure(
        sets.hashes,
        sets.offsets,
        kept,
        later,
        min_similarity,
        measure is Measure.CONTAINMENT,
        found,
    )
    return found


@kernel
def _measure(hashes, offsets, kept, later, min_similarity, containment, found):
    for pair in range(len(kept)):
        left = hashes[offsets[kept[pair]] : offsets[kept[pair] + 1]]
        right = hashes[offsets[later[pair]] : offsets[later[pair] + 1]]
        if len(left) == 0 or len(right) == 0:
            continue
        if containment:
            allowed = len(right) * (1.0 - min_similarity) + 1e-6
            shared = _shared(left, right, allowed, True)
            value = shared / len(right)
        else:
            # inter >= s * union  <=>  unmatched <= (|A| + |B|) (1 - s) / (1 + s)
            allowed = (len(left) + len(right)) * (1.0 - min_similarity) / (
                1.0 + min_similarity
            ) + 1e-6
            shared = _shared(left, right, allowed, False)
            value = shared / (len(left) + len(right) - shared)
        if shared >= 0 and value >= min_similarity:
            found[pair] = value


@inner
def _shared(left, right, allowed, right_only):
    """Count common values of two sorted sets; -1 once more than `allowed` values stay unmatched.

    With `right_only`, only unmatched values of `right` count against `allowed`.
    """
    i = 0
    j = 0
    shared = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            shared += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
            if not right_only and i + j - 2 * shared > allowed:
                return -1
        else:
            j += 1
            if (j - shared if right_only else i + j - 2 * shared) > allowed:
                return -1
    return shared
