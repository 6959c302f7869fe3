"""Shares of size, text and length -> the points of a pilot, each with a name that says what it is; pure.

sizes x texts at the recipe's own length; other lengths across the middle; seeds and screens at the middle
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

#: Runs of fewer steps pulled the prediction up; ours, from the sixth pilot of docs/pilot.md, which says that more are not enough.
MIN_STEPS = 2500


@dataclass(frozen=True)
class Point:
    """One small run.

    Args:
        size: Share of the network's weights.
        text: Share of the training documents.
        length: Passes over them, as a multiple of the recipe's own.
        seed: Added to the recipe's seed.
        screen: Name of the settings that differ; empty for the recipe's own.
    """

    size: float
    text: float
    length: float = 1.0
    seed: int = 0
    screen: str = ""

    @property
    def name(self) -> str:
        """What it is, in letters that a path and a partition may have.

        Example:
            >>> (
            ...     Point(0.25, 0.5).name,
            ...     Point(0.25, 0.5, seed=1).name,
            ...     Point(0.25, 0.5, screen="lr x2").name,
            ... )
            ('size-0.25_text-0.5_length-1', 'size-0.25_text-0.5_length-1_seed-1', 'size-0.25_text-0.5_length-1_lr-x2')
        """
        plain = f"size-{self.size:g}_text-{self.text:g}_length-{self.length:g}"
        seed = f"_seed-{self.seed}" if self.seed else ""
        screen = "_" + re.sub(r"[^a-z0-9.]+", "-", self.screen.lower()) if self.screen else ""
        return plain + seed + screen

    @property
    def of_ladder(self) -> bool:
        """Whether the law is fitted on it: all but screens."""
        return not self.screen


def middle(values: Sequence[float]) -> float:
    """Return the middle one, the smaller of two."""
    return sorted(values)[(len(values) - 1) // 2]


def ladder(
    sizes: Sequence[float],
    texts: Sequence[float],
    lengths: Sequence[float],
    *,
    num_seeds: int,
    screens: Iterable[str],
) -> list[Point]:
    """Return the points, the cross of sizes and texts first.

    Args:
        sizes: Shares of the network's weights.
        texts: Shares of the training documents.
        lengths: Multiples of the recipe's passes, 1 among them. The others are run at every size on the least text and at
            the middle size on every text: what repeating costs depends on both.
        num_seeds: Runs of the middle point.
        screens: Names of settings that differ, each run at the middle point.

    Example:
        >>> len(ladder([0.1, 0.2], [0.25, 0.5], [1, 4], num_seeds=2, screens=["dropout"]))
        9
    """
    center = Point(middle(sizes), middle(texts))
    cross = [Point(size, text) for text in sorted(texts) for size in sorted(sizes)]
    others = [
        replace(point, length=length)
        for length in sorted(lengths)
        if length != 1.0
        for point in cross
        if point.text == min(texts) or point.size == center.size
    ]
    seeds = [replace(center, seed=seed) for seed in range(1, num_seeds)]
    return [*cross, *others, *seeds, *(replace(center, screen=name) for name in screens)]


def center_of(points: Iterable[Point]) -> Point:
    """Return the point that seeds and screens are compared with."""
    own = [point for point in points if point.of_ladder and not point.seed and point.length == 1.0]
    return Point(middle(sorted({p.size for p in own})), middle(sorted({p.text for p in own})))


def within(
    points: Sequence[Point], costs: Sequence[float], budget: float
) -> tuple[list[Point], list[Point]]:
    """Leave out the dearest points of the cross and of other lengths until the rest fits a budget.

    Args:
        points: Of the pilot.
        costs: Of each.
        budget: What all may cost together, in the same unit.

    Returns:
        The points that are run, in their order, and those left out. What the center is needed for stays as long as it can.

    Example:
        >>> small, large = Point(0.1, 0.1), Point(0.2, 0.2)
        >>> within([small, large], [1.0, 5.0], 2.0) == ([small], [large])
        True
    """
    center = center_of(points)
    same = [
        (point.size, point.text, point.length) == (center.size, center.text, 1.0)
        for point in points
    ]
    order = sorted(range(len(points)), key=lambda i: (same[i] and not points[i].screen, -costs[i]))
    left, out = sum(costs), set[int]()
    for i in order:
        if left <= budget:
            break
        out.add(i)
        left -= costs[i]
    return (
        [point for i, point in enumerate(points) if i not in out],
        [point for i, point in enumerate(points) if i in out],
    )
