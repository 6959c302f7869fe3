"""Runs that differ in one setting, and runs that differ in the seed alone -> which differences are more than noise; pure.

bits per byte of seeds ──▶ noise      screen / mean of seeds - 1 ──▶ Effect: resolved from 2 x noise on
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Below so many times the noise of seeds an effect is called noise.
MIN_NOISES = 2.0


@dataclass(frozen=True)
class Effect:
    """What a setting changes.

    Args:
        name: Of the setting.
        change: Of the bits per byte, relative; below 0 is better.
        is_resolved: Whether it stands out of the noise.
    """

    name: str
    change: float
    is_resolved: bool


def seed_noise(values: Sequence[float]) -> float | None:
    """Return the relative standard deviation of equal runs with other seeds; None of fewer than two.

    Example:
        >>> round(seed_noise([1.00, 1.01]), 4), seed_noise([1.0])
        (0.007, None)
    """
    if len(values) < 2:
        return None
    return statistics.stdev(values) / statistics.fmean(values)


def effects(seeds: Sequence[float], screens: Mapping[str, float]) -> list[Effect]:
    """Compare each screen with the mean of the seeds, the best first.

    Args:
        seeds: Bits per byte of the recipe's own settings, a value a seed; of one, nothing is resolved.
        screens: Bits per byte by setting.

    Example:
        >>> [
        ...     (one.name, round(one.change, 3), one.is_resolved)
        ...     for one in effects([1.00, 1.01], {"lr x2": 0.95, "dropout": 1.0})
        ... ]
        [('lr x2', -0.055, True), ('dropout', -0.005, False)]
    """
    noise, own = seed_noise(seeds), statistics.fmean(seeds)
    found = [(name, value / own - 1.0) for name, value in screens.items()]
    return [
        Effect(name, change, noise is not None and abs(change) >= MIN_NOISES * noise)
        for name, change in sorted(found, key=lambda pair: pair[1])
    ]
