"""Scores and truth -> how well the score separates, how honest it is, and how far it has drifted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def auc(scores: npt.NDArray[np.floating], good: npt.NDArray[np.bool_]) -> float:
    """Return the chance that a good document scores above a bad one; ties count half.

    Raises:
        ValueError: One of the sides is empty.

    Example:
        >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
        0.875
    """
    num_good, num_bad = int(good.sum()), int((~good).sum())
    if not num_good or not num_bad:
        raise ValueError("AUC needs good and bad documents")
    _, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mean_rank[index][good].sum())
    return (rank_sum - num_good * (num_good + 1) / 2.0) / (num_good * num_bad)


def calibration_error(
    scores: npt.NDArray[np.floating], good: npt.NDArray[np.bool_], num_bins: int = 10
) -> float:
    """Return the mean distance between the score and the share of good documents, over equal-width bins.

    Both sides weigh the same. 0 is perfect.

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (AAAI 2015).
    """
    weight = np.where(good, 0.5 / max(1, good.sum()), 0.5 / max(1, (~good).sum()))
    bins = np.minimum((scores * num_bins).astype(int), num_bins - 1)
    mass = np.bincount(bins, weights=weight, minlength=num_bins)
    truth = np.bincount(bins, weights=weight * good, minlength=num_bins)
    said = np.bincount(bins, weights=weight * scores, minlength=num_bins)
    return float(np.abs(truth - said)[mass > 0].sum())


def accuracy_by_length(
    scores: npt.NDArray[np.floating],
    good: npt.NDArray[np.bool_],
    lengths: npt.NDArray[np.integer],
    num_groups: int = 10,
) -> list[dict[str, float]]:
    """Say for each length decile how often score >= 0.5 agrees with the truth.

    A classifier that has learned length and nothing else shows here: it is right where one side is missing.

    Returns:
        Per group: `max_length`, `num_documents`, `good_frac`, `accuracy`.
    """
    order = np.argsort(lengths, kind="stable")
    groups = [group for group in np.array_split(order, num_groups) if len(group)]
    return [
        {
            "max_length": int(lengths[group].max()),
            "num_documents": len(group),
            "good_frac": round(float(good[group].mean()), 4),
            "accuracy": round(float(((scores[group] >= 0.5) == good[group]).mean()), 4),
        }
        for group in groups
    ]


def population_stability(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the population stability index between two histograms over the same bins.

    Sum of (a - b) ln(a / b) over shares. By custom 0.1 is a small shift and 0.25 a large one. Empty bins count
    as one document in ten thousand.

    Raises:
        ValueError: The histograms differ in length or one has no documents.

    Example:
        >>> population_stability([10, 10], [20, 20]), population_stability([90, 10], [10, 90]) > 1
        (0.0, True)
    """
    old, new = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if old.shape != new.shape or old.sum() <= 0 or new.sum() <= 0:
        raise ValueError("two non-empty histograms over the same bins are needed")
    floor = 1e-4
    b, a = np.maximum(old / old.sum(), floor), np.maximum(new / new.sum(), floor)
    return float(((a - b) * np.log(a / b)).sum())


def quantile_by_weight(
    values: npt.NDArray[np.floating], weights: npt.NDArray[np.integer], share: float
) -> float:
    """Return the largest value such that at most `share` of the weight lies below it.

    Example:
        >>> quantile_by_weight(np.array([0.1, 0.2, 0.9]), np.array([1, 1, 98]), 0.02)
        0.9
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) - weights[order]
    # Equal values lie on the same side: only the first of a run has all of them above it.
    first = np.searchsorted(values[order], values[order])
    allowed = below[first] <= share * weights.sum()
    return float(values[order][allowed].max())


def quantile_borders(histogram: Sequence[int], num_buckets: int) -> list[float]:
    """Return the scores that divide a histogram of [0, 1] into buckets of equal size.

    Args:
        histogram: Documents in bins of equal width over [0, 1].
        num_buckets: How many buckets.

    Returns:
        num_buckets - 1 ascending borders; a document belongs to the bucket after the last border <= its score.

    Example:
        >>> quantile_borders([0, 4, 0, 4], 2)
        [0.5]
    """
    counts = np.asarray(histogram, dtype=float)
    total, ends = counts.sum(), np.cumsum(counts)
    if total <= 0:
        return [(i + 1) / num_buckets for i in range(num_buckets - 1)]
    wanted = total * np.arange(1, num_buckets) / num_buckets
    return [float((int(np.searchsorted(ends, w)) + 1) / len(counts)) for w in wanted]
