"""Exact similarity of shingle sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.shingles import Shingles
from tonsai_pipeline.dedup.verify import Measure, similarities

_SETS = st.sets(st.integers(0, 40), max_size=30)


def _pack(sets: list[set[int]]) -> Shingles:
    flat = np.array([value for one in sets for value in sorted(one)], np.uint64)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in sets])]).astype(np.int64)
    return Shingles(flat, offsets)


@settings(max_examples=200, deadline=None)
@given(_SETS, _SETS, st.floats(0, 1), st.sampled_from(Measure))
def test_similarity_is_that_of_python_sets(left, right, min_similarity, measure):
    found = similarities(
        _pack([left, right]),
        np.array([0]),
        np.array([1]),
        min_similarity=min_similarity,
        measure=measure,
    )[0]
    whole = left | right if measure is Measure.JACCARD else right
    exact = len(left & right) / len(whole) if left and right else 0.0
    assert found == (exact if exact >= min_similarity else 0.0)


def test_a_pair_exactly_at_the_limit_is_confirmed():
    sets = _pack([set(range(9)), set(range(1, 10))])
    args = (sets, np.array([0]), np.array([1]))
    assert similarities(*args, min_similarity=0.8)[0] == 0.8
    assert similarities(*args, min_similarity=0.8001)[0] == 0.0


def test_containment_finds_an_excerpt_and_not_the_longer_text():
    sets = _pack([set(range(100)), set(range(10))])
    pairs = np.array([0, 1]), np.array([1, 0])
    found = similarities(sets, *pairs, min_similarity=0.8, measure=Measure.CONTAINMENT)
    assert found.tolist() == [1.0, 0.0]


def test_a_limit_out_of_range_is_refused():
    with pytest.raises(ValueError, match="min_similarity"):
        similarities(_pack([]), np.zeros(0, int), np.zeros(0, int), min_similarity=1.5)
