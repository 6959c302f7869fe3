"""One value an item -> the interval that 95 of 100 such samples of items would give; differences of two models paired.

    values (n,) ──resample items 1,000 times──▶ Estimate(value, low, high)

Items are documents or questions, never tokens: tokens of one document are not independent. Two models are compared on
the same items, by their differences: two separate intervals that overlap say nothing.

Source: Efron 1979; paired for model comparison: Koehn 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NUM_RESAMPLES = 1000
#: Resampled weights held at a time: 2^22 float64, 32 MB.
_MAX_WEIGHTS = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval over items; `num_items` of them."""

    value: float
    low: float
    high: float
    num_items: int


def ratio(numerators: npt.ArrayLike, denominators: npt.ArrayLike, *, seed: int = 0) -> Estimate:
    """Estimate sum(numerators) / sum(denominators) over items.

    Args:
        numerators: (n,), such as bits of each document.
        denominators: (n,), such as its bytes; positive.
        seed: Of the resampling.

    Raises:
        ValueError: No items.

    Example:
        >>> ratio([2.0, 2.0], [1.0, 1.0])
        Estimate(value=2.0, low=2.0, high=2.0, num_items=2)
    """
    tops, bottoms = np.asarray(numerators, float), np.asarray(denominators, float)
    resampled = _resample(np.stack([tops, bottoms], axis=1), seed)
    return _estimate(tops.sum() / bottoms.sum(), resampled[:, 0] / resampled[:, 1], len(tops))


def mean(values: npt.ArrayLike, *, seed: int = 0) -> Estimate:
    """Estimate a mean over items."""
    array = np.asarray(values, float)
    return ratio(array, np.ones_like(array), seed=seed)


def ratio_difference(
    numerators: npt.ArrayLike,
    others: npt.ArrayLike,
    denominators: npt.ArrayLike,
    *,
    seed: int = 0,
) -> Estimate:
    """Estimate how far one model's ratio stands above another's on the same items.

    Args:
        numerators: (n,) of the first model.
        others: (n,) of the second, on the same items.
        denominators: (n,), the same for both.
        seed: Of the resampling.

    Returns:
        The difference; the models differ where its interval does not hold 0.
    """
    return ratio(np.asarray(numerators, float) - np.asarray(others, float), denominators, seed=seed)


def share_interval(num_hits: int, num_items: int) -> Estimate:
    """Return a share of items with its 95 % Wilson interval; of no hit, the upper end is 3 / n.

    Example:
        >>> share_interval(0, 300)
        Estimate(value=0.0, low=0.0, high=0.01, num_items=300)
    """
    if num_items == 0:
        raise ValueError("a share of no items")
    share, z2 = num_hits / num_items, 1.96**2
    middle = (share + z2 / (2 * num_items)) / (1 + z2 / num_items)
    spread = np.sqrt(share * (1 - share) / num_items + z2 / (4 * num_items**2))
    half = 1.96 * float(spread) / (1 + z2 / num_items)
    low = 0.0 if num_hits == 0 else middle - half
    high = min(1.0, 3 / num_items) if num_hits == 0 else min(1.0, middle + half)
    return Estimate(share, low, high, num_items)


def _resample(columns: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """(n, k) -> (_NUM_RESAMPLES, k), the column sums of each resample."""
    num_items = len(columns)
    if num_items == 0:
        raise ValueError("no items to estimate from")
    generator = np.random.default_rng(seed)
    chance = np.full(num_items, 1 / num_items)
    size = max(1, _MAX_WEIGHTS // num_items)
    sums = [
        generator.multinomial(num_items, chance, size=min(size, _NUM_RESAMPLES - start)) @ columns
        for start in range(0, _NUM_RESAMPLES, size)
    ]
    return np.concatenate(sums)


def _estimate(value: float, resampled: npt.NDArray[np.float64], num_items: int) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return Estimate(float(value), low, high, num_items)
