"""Buckets and verified pairs -> who is kept: first seen wins, without chains.

    Buckets ──find_candidates──▶ pairs ──(verify.py)──▶ edges ──resolve──▶ kept | dropped, with the kept duplicate

The rule: a document is dropped if and only if an earlier *kept* document is a verified duplicate that shares a
band with it. Being like a dropped document is no reason to be dropped, so a chain of small edits cannot eat
a source; and no decision looks at a later document, so appending a dump changes nothing before it.

Buckets can be large (a page template, say), and comparing all pairs in one would cost its square. So the
work goes in rounds: each undecided document is compared with the next few members before it that are not
dropped, duplicates leave, and the limit grows. A bucket of a million copies costs a million comparisons.
The end result does not depend on the limits: it is the rule above, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.dedup.exact import NOT_DUPLICATE
from tonsai_pipeline.dedup.lsh import Buckets

UNKNOWN, KEPT, DROPPED = np.uint8(0), np.uint8(1), np.uint8(2)

#: In the place of a kept duplicate: the document was dropped for another reason.
CONTAMINATED = np.int64(-2)


class Nominations(NamedTuple):
    """Pairs to verify.

    Args:
        earlier: Document indices of the documents that may be kept, int64, shape (num_pairs,).
        later: Document indices of the undecided documents, same shape.
        unfinished: Undecided documents that have more members before them, int64, ascending.
        positions: Where each member goes on in the next round, int32, shape of the members.
    """

    earlier: np.ndarray
    later: np.ndarray
    unfinished: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Edges:
    """Verified duplicates, in any order.

    Args:
        earlier: Document indices, int64, shape (num_edges,).
        later: Document indices, same shape; each greater than its partner.
        similarity: float64, same shape.
    """

    earlier: np.ndarray
    later: np.ndarray
    similarity: np.ndarray

    @classmethod
    def none(cls) -> Edges:
        """Return no edges."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64))

    def joined(self, other: Edges) -> Edges:
        """Return these edges and those of `other`."""
        return Edges(
            np.concatenate([self.earlier, other.earlier]),
            np.concatenate([self.later, other.later]),
            np.concatenate([self.similarity, other.similarity]),
        )


@dataclass(frozen=True)
class Decisions:
    """What is known about the documents of one dump.

    Args:
        status: `UNKNOWN`, `KEPT` or `DROPPED`; uint8, shape (num_docs,).
        kept_duplicates: Document index of the kept duplicate of a dropped document, `CONTAMINATED`, or `NOT_DUPLICATE` if it stays; int64,
            same shape.
        similarity: Similarity to the kept_duplicate, else 0; float64, same shape.
    """

    status: np.ndarray
    kept_duplicates: np.ndarray
    similarity: np.ndarray

    @classmethod
    def start(cls, num_docs: int) -> Decisions:
        """Return decisions in which nothing is known."""
        return cls(
            np.full(num_docs, UNKNOWN, np.uint8),
            np.full(num_docs, NOT_DUPLICATE, np.int64),
            np.zeros(num_docs, np.float64),
        )


def round_limit(round_index: int) -> int:
    """Return how many members each document is compared with in a round: 4, 32, 256, ... 2^20."""
    return int(min(4 * 8**round_index, 1 << 20))


def find_candidates(
    buckets: Buckets, positions: np.ndarray, status: np.ndarray, *, base: int, limit: int
) -> Nominations:
    """Pair each undecided document with the next members before it in each of its buckets.

    Args:
        buckets: Members are kept documents of earlier dumps (doc_index < base) and documents of this one.
        positions: Where each member left off; zeros in the first round; int32, shape of the members.
        status: What is known about this dump; uint8, shape (num_docs,).
        base: Document index of the dump's first document.
        limit: Pairs per document and bucket, at least 1.

    Returns:
        The pairs, each once.
    """
    advanced = positions.copy()
    earlier, later, unfinished = _nominate(
        buckets.members, buckets.offsets, advanced, status, base, limit
    )
    pairs = np.unique(np.stack([later, earlier], axis=1), axis=0) if len(later) else None
    if pairs is not None:
        later, earlier = pairs[:, 0].copy(), pairs[:, 1].copy()
    return Nominations(earlier, later, np.unique(unfinished), advanced)


def resolve(
    decisions: Decisions, edges: Edges, unfinished: np.ndarray, *, base: int
) -> tuple[Decisions, Edges]:
    """Decide every document that can be decided.

    Args:
        decisions: What was known before.
        edges: Every verified duplicate that may still matter.
        unfinished: Document indices of documents that still have members to be compared with.
        base: Document index of the dump's first document; edges to lower doc_indices are to kept documents.

    Returns:
        What is known now, and the edges that still matter. With `unfinished` empty, nothing stays unknown.

    Example:
        A chain: 1 is like 0, 2 is like 1, but 2 is not like 0. Only 1 goes.

        >>> edges = Edges(np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.8]))
        >>> known, _ = resolve(Decisions.start(3), edges, np.zeros(0, np.int64), base=0)
        >>> known.status.tolist(), known.kept_duplicates.tolist()
        ([1, 2, 1], [-1, 0, -1])
    """
    order = np.lexsort((edges.earlier, edges.later))
    earlier, later, similarity = edges.earlier[order], edges.later[order], edges.similarity[order]
    known = Decisions(
        decisions.status.copy(), decisions.kept_duplicates.copy(), decisions.similarity.copy()
    )
    waiting = np.zeros(len(known.status), dtype=np.bool_)
    waiting[unfinished - base] = True
    bounds = np.searchsorted(later, base + np.arange(len(known.status) + 1))
    _resolve(
        known.status,
        known.kept_duplicates,
        known.similarity,
        waiting,
        earlier,
        similarity,
        bounds,
        base,
    )
    matters = known.status[later - base] == UNKNOWN
    return known, Edges(earlier[matters], later[matters], similarity[matters])


def follow(
    decisions: Decisions, firsts: np.ndarray, known: Decisions, copied: np.ndarray, *, base: int
) -> Decisions:
    """Give every exact copy the fate of the document it copies.

    Args:
        decisions: Decisions of a dump; those of exact copies are overwritten.
        firsts: Document index of the first document with the same text, `NOT_DUPLICATE` for that one; int64, shape
            (num_docs,).
        known: Decisions about the documents of earlier dumps that are copied, shape (num_copied,).
        copied: Document indices of those documents, int64, ascending, shape (num_copied,).
        base: Document index of the dump's first document.

    Returns:
        Decisions in which the kept duplicate of a copy is the first document if that one is kept (similarity 1),
        else that one's kept_duplicate.
    """
    status, kept_duplicates = decisions.status.copy(), decisions.kept_duplicates.copy()
    similarity = decisions.similarity.copy()
    copies = np.flatnonzero(firsts != NOT_DUPLICATE)
    first = firsts[copies]
    is_old = first < base
    place = np.where(is_old, np.searchsorted(copied, first), first - base)
    first_twin, first_similarity = np.empty(len(copies), np.int64), np.empty(len(copies))
    for chosen, source in ((is_old, known), (~is_old, decisions)):
        first_twin[chosen] = source.kept_duplicates[place[chosen]]
        first_similarity[chosen] = source.similarity[place[chosen]]
    is_kept = first_twin == NOT_DUPLICATE
    status[copies] = DROPPED
    kept_duplicates[copies] = np.where(is_kept, first, first_twin)
    similarity[copies] = np.where(is_kept, 1.0, first_similarity)
    return Decisions(status, kept_duplicates, similarity)


@kernel
def _nominate(members, offsets, positions, status, base, limit):
    num_pairs = _walk(members, offsets, positions.copy(), status, base, limit, None, None, None)[0]
    earlier = np.empty(num_pairs, dtype=np.int64)
    later = np.empty(num_pairs, dtype=np.int64)
    unfinished = np.empty(len(members), dtype=np.int64)
    _, num_unfinished = _walk(
        members, offsets, positions, status, base, limit, earlier, later, unfinished
    )
    return earlier, later, unfinished[:num_unfinished]


@inner
def _walk(members, offsets, positions, status, base, limit, earlier, later, unfinished):
    """Count the nominations, and write them if there are arrays to write to."""
    num_pairs = 0
    num_unfinished = 0
    for group in range(len(offsets) - 1):
        start = offsets[group]
        for i in range(start, offsets[group + 1]):
            doc = members[i]
            if doc < base or status[doc - base] != UNKNOWN:
                continue
            place = start + positions[i]
            taken = 0
            while place < i:
                other = members[place]
                if other < base or status[other - base] != DROPPED:
                    if taken == limit:
                        break
                    taken += 1
                    if earlier is not None:
                        earlier[num_pairs] = other
                        later[num_pairs] = doc
                    num_pairs += 1
                place += 1
            positions[i] = place - start
            if place < i:
                if unfinished is not None:
                    unfinished[num_unfinished] = doc
                num_unfinished += 1
    return num_pairs, num_unfinished


@kernel
def _resolve(status, kept_duplicates, similarity, waiting, earlier, edge_similarity, bounds, base):
    for doc in range(len(status)):
        if status[doc] != UNKNOWN:
            continue
        undecided = waiting[doc]
        for edge in range(bounds[doc], bounds[doc + 1]):
            other = earlier[edge] - base
            if other < 0 or status[other] == KEPT:
                status[doc] = DROPPED
                kept_duplicates[doc] = earlier[edge]
                similarity[doc] = edge_similarity[edge]
                break
            if status[other] == UNKNOWN:
                undecided = True
        if status[doc] == UNKNOWN and not undecided:
            status[doc] = KEPT
