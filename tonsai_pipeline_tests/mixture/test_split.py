"""The split: as many documents as asked for, the same ones whatever else there is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.mixture.split import hash_ids, smallest, split_border


def held_out(num_docs: int, **wish: float) -> int:
    hashes = hash_ids([f"doc/{i}" for i in range(num_docs)], seed=3)
    border = split_border(smallest(hashes, 501), num_docs, max_documents=500, **wish)  # type: ignore[arg-type]
    return int((hashes < np.uint64(min(border, 2**64 - 1))).sum())


def test_the_share_is_met_where_it_gives_enough() -> None:
    assert 150 < held_out(20_000, frac=0.01, min_documents=10) < 250


def test_a_small_language_gets_its_minimum_but_never_more_than_a_tenth() -> None:
    assert held_out(1_000, frac=0.001, min_documents=50) == 50
    assert held_out(100, frac=0.001, min_documents=50) == 10
    assert held_out(5, frac=0.001, min_documents=50) == 1
    assert held_out(1, frac=0.001, min_documents=50) == 0
    assert held_out(0, frac=0.001, min_documents=50) == 0


def test_a_large_language_gets_its_maximum() -> None:
    assert held_out(20_000, frac=0.9, min_documents=10) == 500


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=60), st.integers(1, 70))
def test_the_smallest_hashes_are_the_sorted_front(hashes: list[int], limit: int) -> None:
    found = smallest(np.array(hashes, dtype=np.uint64), limit)
    assert found.tolist() == sorted(hashes)[:limit]


def test_another_seed_is_another_split() -> None:
    ids = [str(i) for i in range(100)]
    assert hash_ids(ids, seed=1).tolist() != hash_ids(ids, seed=2).tolist()
