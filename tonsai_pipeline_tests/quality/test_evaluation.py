"""Measures of a score: against slow versions and at the ends of their ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.quality.evaluation import (
    accuracy_by_length,
    auc,
    calibration_error,
    population_stability,
    quantile_borders,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=float)
    good = np.array([side for _, side in pairs])
    if good.all() or not good.any():
        with pytest.raises(ValueError, match="needs good and bad"):
            auc(scores, good)
        return
    wins = [(g > b) + 0.5 * (g == b) for g in scores[good] for b in scores[~good]]
    assert auc(scores, good) == pytest.approx(float(np.mean(wins)))


def test_calibration_error_is_zero_for_honest_scores_and_large_for_boasting() -> None:
    good = np.array([True, False] * 500)
    assert calibration_error(np.full(1000, 0.5), good) == pytest.approx(0)
    assert calibration_error(np.full(1000, 0.99), good) == pytest.approx(0.49)


def test_length_groups_hold_every_document_once() -> None:
    lengths = np.arange(95)
    groups = accuracy_by_length(np.ones(95), lengths > 40, lengths)
    assert sum(group["num_documents"] for group in groups) == 95
    assert groups[0]["accuracy"] == 0.0
    assert groups[-1]["accuracy"] == 1.0


def test_drift_is_zero_for_equal_shapes_and_symmetric() -> None:
    assert population_stability([1, 2, 3], [10, 20, 30]) == pytest.approx(0)
    assert population_stability([9, 1], [5, 5]) == pytest.approx(
        population_stability([5, 5], [9, 1])
    )
    with pytest.raises(ValueError, match="non-empty histograms"):
        population_stability([0, 0], [1, 1])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=10, max_size=100), st.integers(2, 10))
def test_buckets_are_as_even_as_the_bins_allow(histogram: list[int], num_buckets: int) -> None:
    borders = quantile_borders(histogram, num_buckets)
    assert borders == sorted(borders)
    assert len(borders) == num_buckets - 1
    if sum(histogram):
        below = np.cumsum(histogram)
        for index, border in enumerate(borders, start=1):
            wanted = sum(histogram) * index / num_buckets
            place = round(border * len(histogram))
            assert below[place - 1] >= wanted - 1e-9
            assert place < 2 or below[place - 2] < wanted
