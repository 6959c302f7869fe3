"""Points of a pilot -> operations and hours of each, before any is run.

Recipe, length of its run ──shape_of──▶ PointCost each
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tonsai_pipeline.loss_law.ladder import Point
from tonsai_pipeline.pilot.variant import scaled
from tonsai_pipeline.planner.network import Shape, flops_per_token, shape_of
from tonsai_pipeline.recipe import Recipe


@dataclass(frozen=True)
class PointCost:
    """What a point takes.

    Args:
        point: The point.
        shape: Its network.
        tokens: Of its run.
        flops: Operations of its run.
    """

    point: Point
    shape: Shape
    tokens: float
    flops: float


def costs(
    recipe: Recipe, points: Sequence[Point], *, vocab_size: int, tokens: float
) -> list[PointCost]:
    """Count what points take; screens are taken to cost what their middle point does.

    Args:
        recipe: Of the large run.
        points: Of its pilot.
        vocab_size: Rows of the embedding.
        tokens: Of the large run.
    """
    found = []
    for point in points:
        network = scaled(recipe.model, point.size)
        shape = shape_of(network, vocab_size=vocab_size, seq_len=recipe.packing.seq_len)
        length = tokens * point.text * point.length
        found.append(PointCost(point, shape, length, flops_per_token(shape) * length))
    return found
