"""Shingle sets -> every pair of documents above a similarity, by counting, without MinHash or bands.

Every pair that shares a shingle is counted through lists of the documents of each shingle; a pair that shares
none has similarity 0. Nothing is sampled and nothing is skipped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tonsai_pipeline.dedup.shingles import Shingles


class Pairs(NamedTuple):
    """Pairs of documents with their exact Jaccard similarity; `earlier < later`."""

    earlier: np.ndarray
    later: np.ndarray
    jaccard: np.ndarray


def all_pairs(sets: Shingles, *, min_jaccard: float) -> Pairs:
    """Return every pair of at least this similarity, by later document, then earlier."""
    doc_of = np.repeat(np.arange(sets.num_docs, dtype=np.int32), np.diff(sets.offsets))
    order = np.argsort(sets.hashes, kind="stable")
    ordered = sets.hashes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.searchsorted(starts, np.arange(len(ordered)), side="right") - 1
    list_of = np.empty(len(ordered), np.int64)
    list_of[order] = rank
    found = _count(sets.offsets, list_of, np.r_[starts, len(ordered)], doc_of[order], min_jaccard)
    return Pairs(*(np.array(column) for column in found))


def greedy(pairs: Pairs, num_docs: int, gone: np.ndarray) -> np.ndarray:
    """Apply the rule to all pairs: a document goes if an earlier one that stays is in a pair with it.

    Args:
        pairs: From `all_pairs`.
        num_docs: Number of documents.
        gone: Documents that are dropped beforehand (exact copies), bool, shape (num_docs,).

    Returns:
        bool, shape (num_docs,): dropped.
    """
    dropped = gone.copy()
    order = np.lexsort((pairs.earlier, pairs.later))
    for index in order:
        if not gone[pairs.later[index]] and not dropped[pairs.earlier[index]]:
            dropped[pairs.later[index]] = True
    assert len(dropped) == num_docs
    return dropped


@njit(cache=True)
def _count(offsets, list_of, starts, members, min_jaccard):
    num_docs = len(offsets) - 1
    shared = np.zeros(num_docs, np.int32)
    touched = np.empty(num_docs, np.int32)
    earlier, later, jaccard = [np.int32(0)], [np.int32(0)], [0.0]
    for doc in range(num_docs):
        num_touched = 0
        for place in range(offsets[doc], offsets[doc + 1]):
            one = list_of[place]
            for i in range(starts[one], starts[one + 1]):
                other = members[i]
                if other >= doc:
                    break
                if shared[other] == 0:
                    touched[num_touched] = other
                    num_touched += 1
                shared[other] += 1
        size = offsets[doc + 1] - offsets[doc]
        for i in range(num_touched):
            other = touched[i]
            union = size + offsets[other + 1] - offsets[other] - shared[other]
            if shared[other] >= min_jaccard * union - 1e-9:
                earlier.append(other)
                later.append(np.int32(doc))
                jaccard.append(shared[other] / union)
            shared[other] = 0
    return earlier[1:], later[1:], jaccard[1:]
