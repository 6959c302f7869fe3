"""Intervals cover what they promise, and pairing sees what two intervals do not."""

from __future__ import annotations

import numpy as np
import pytest

from tonsai_pipeline.metrics.bootstrap import mean, ratio, ratio_difference, share_interval
from tonsai_pipeline.metrics.choice import choose


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios() -> None:
    assert ratio([10.0, 1.0], [10.0, 2.0]).value == pytest.approx(11 / 12)


def test_the_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        found = mean(generator.normal(5, 2, 60), seed=trial)
        hits += found.low <= 5 <= found.high
    assert 178 <= hits <= 200


def test_many_items_are_resampled_in_bounded_memory_to_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(0, 1, 20_000)
    found = mean(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(20_000), rel=0.15)


def test_pairing_sees_a_small_difference_between_like_models() -> None:
    generator = np.random.default_rng(2)
    sizes = generator.integers(100, 1000, 200)
    first = sizes * generator.normal(1.0, 0.3, 200)
    second = first + 0.02 * sizes * generator.normal(1, 0.1, 200)
    apart = ratio(first, sizes), ratio(second, sizes)
    assert apart[0].high > apart[1].low  # two intervals overlap
    found = ratio_difference(second, first, sizes)
    assert found.low > 0
    assert found.value == pytest.approx(0.02, rel=0.1)


def test_shares() -> None:
    assert share_interval(0, 300).high == pytest.approx(0.01)
    assert share_interval(0, 2).high == 1.0
    half = share_interval(50, 100)
    assert (half.low, half.high) == pytest.approx((0.404, 0.596), abs=1e-3)
    with pytest.raises(ValueError, match="no items"):
        share_interval(0, 0)
    with pytest.raises(ValueError, match="no items"):
        mean([])


def test_norms_disagree_where_lengths_do() -> None:
    """Raw favours the short answer, per byte the long one, PMI the one that the prompt made likelier."""
    found = choose([-4.0, -6.0, -5.0], [2, 12, 5], gold=1, unconditional=[-5.0, -6.0, -9.0])
    assert (found.raw, found.per_byte, found.pmi) == (0, 1, 2)
