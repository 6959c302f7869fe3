"""First seen wins: the rounds against the rule written out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.exact import NOT_DUPLICATE
from tonsai_pipeline.dedup.greedy import (
    DROPPED,
    KEPT,
    UNKNOWN,
    Decisions,
    Edges,
    find_candidates,
    follow,
    resolve,
    round_limit,
)
from tonsai_pipeline.dedup.lsh import Buckets

Pairs = set[tuple[int, int]]


def _rule(num_docs: int, base: int, candidates: Pairs, duplicates: Pairs) -> list[bool]:
    """Say who is kept, by the sentence at the top of `greedy.py`."""
    kept = [True] * base + [False] * num_docs
    for doc in range(base, base + num_docs):
        kept[doc] = not any(
            kept[other] and (other, doc) in candidates & duplicates for other in range(doc)
        )
    return kept[base:]


def _rounds(
    buckets: list[list[int]],
    num_docs: int,
    base: int,
    duplicates: Pairs,
    limit: Callable[[int], int] = round_limit,
) -> tuple[Decisions, int]:
    members = np.array([doc for group in buckets for doc in group], np.int64)
    sizes = [len(group) for group in buckets]
    packed = Buckets(members, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    positions = np.zeros(len(members), np.int32)
    decisions, edges, num_pairs, num_rounds = Decisions.start(num_docs), Edges.none(), 0, 0
    while (decisions.status == UNKNOWN).any():
        found = find_candidates(
            packed, positions, decisions.status, base=base, limit=limit(num_rounds)
        )
        positions = found.positions
        pairs = list(zip(found.earlier.tolist(), found.later.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        confirmed = [pair for pair in pairs if pair in duplicates]
        edges = edges.joined(
            Edges(
                np.array([a for a, _ in confirmed], np.int64),
                np.array([b for _, b in confirmed], np.int64),
                np.ones(len(confirmed)),
            )
        )
        decisions, edges = resolve(decisions, edges, found.unfinished, base=base)
        num_pairs += len(pairs)
        num_rounds += 1
    return decisions, num_pairs


@st.composite
def _corpora(draw):
    base, num_docs = draw(st.integers(0, 5)), draw(st.integers(2, 25))
    total = base + num_docs
    groups = draw(st.lists(st.sets(st.integers(0, total - 1), min_size=2), max_size=8))
    buckets = [sorted(group) for group in groups if max(group) >= base]
    chance = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    duplicates = {pair for pair in combinations(range(total), 2) if rng.random() < chance}
    return base, num_docs, buckets, duplicates


@settings(max_examples=200, deadline=None)
@given(_corpora())
def test_rounds_follow_the_rule(corpus):
    base, num_docs, buckets, duplicates = corpus
    candidates = {pair for group in buckets for pair in combinations(group, 2)}
    expected = _rule(num_docs, base, candidates, duplicates)
    decisions, _ = _rounds(buckets, num_docs, base, duplicates)
    assert [status == KEPT for status in decisions.status] == expected
    for doc, kept_duplicate in enumerate(decisions.kept_duplicates.tolist()):
        if expected[doc]:
            assert kept_duplicate == NOT_DUPLICATE
        else:
            assert (kept_duplicate, doc + base) in candidates & duplicates
            assert kept_duplicate < base or expected[kept_duplicate - base]


@settings(max_examples=100, deadline=None)
@given(_corpora(), st.integers(1, 3))
def test_the_limit_changes_the_work_and_not_the_result(corpus, limit):
    base, num_docs, buckets, duplicates = corpus
    usual, _ = _rounds(buckets, num_docs, base, duplicates)
    other, _ = _rounds(buckets, num_docs, base, duplicates, limit=lambda _: limit)
    assert other.status.tolist() == usual.status.tolist()


def test_a_bucket_of_copies_costs_its_length_and_not_its_square():
    num_docs = 800
    duplicates = set(combinations(range(num_docs), 2))
    decisions, num_pairs = _rounds([list(range(num_docs))], num_docs, 0, duplicates)
    assert decisions.status.tolist() == [KEPT] + [DROPPED] * (num_docs - 1)
    assert num_pairs <= 4 * num_docs


def test_copies_share_the_fate_of_their_first():
    # 0 kept; 1 near 0; 2 is a copy of 1; 3 a copy of 0; 4 a copy of old 7, which fell to old 2.
    start = Decisions(
        np.array([KEPT, DROPPED, DROPPED, DROPPED, DROPPED], np.uint8),
        np.array([NOT_DUPLICATE, 10, NOT_DUPLICATE, NOT_DUPLICATE, NOT_DUPLICATE]),
        np.array([0, 0.9, 0, 0, 0]),
    )
    known = Decisions(np.array([DROPPED], np.uint8), np.array([2]), np.array([0.85]))
    firsts = np.array([NOT_DUPLICATE, NOT_DUPLICATE, 11, 10, 7])
    found = follow(start, firsts, known, np.array([7]), base=10)
    assert found.kept_duplicates.tolist() == [NOT_DUPLICATE, 10, 10, 10, 2]
    assert found.similarity.tolist() == [0, 0.9, 0.9, 1.0, 0.85]
