"""Points of a pilot -> steps, operations and hours of each, before any is run.

Recipe, length of its run ──shape_of, Step Law──▶ PointCost each ──▶ what is wrong with the ladder, if anything
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tonsai_pipeline.loss_law.ladder import MIN_STEPS, Point
from tonsai_pipeline.pilot.variant import scaled
from tonsai_pipeline.planner.laws import step_law_batch, step_law_tokens
from tonsai_pipeline.planner.network import Shape, flops_per_token, shape_of
from tonsai_pipeline.recipe import Recipe

#: The largest share of the large run that its shortest small one may be: the ladder has to reach over some octaves below it.
_MOST_SHARE = 0.25


@dataclass(frozen=True)
class PointCost:
    """What a point takes.

    Args:
        point: The point.
        shape: Its network.
        tokens: Of its run.
        num_steps: Of its run.
        flops: Operations of its run.
    """

    point: Point
    shape: Shape
    tokens: float
    num_steps: int
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
    found, batch = list[PointCost](), recipe.train.global_batch_tokens
    for point in points:
        network = scaled(recipe.model, point.size)
        shape = shape_of(network, vocab_size=vocab_size, seq_len=recipe.packing.seq_len)
        length = tokens * point.text * point.length
        step = step_law_batch(length, shape.seq_len) if batch == "auto" else batch
        flops = flops_per_token(shape) * length
        found.append(PointCost(point, shape, length, max(1, round(length / step)), flops))
    return found


def too_short(recipe: Recipe, planned: Sequence[PointCost]) -> str:
    """Say which run of a ladder has too few steps, and what would mend it; empty where none has.

    Args:
        recipe: Of the large run.
        planned: Points of its pilot that are to be run.
    """
    ladder = [cost for cost in planned if cost.point.of_ladder]
    shortest = min(ladder, key=lambda cost: cost.num_steps, default=None)
    if shortest is None or shortest.num_steps >= MIN_STEPS:
        return ""
    total = shortest.tokens / (shortest.point.text * shortest.point.length)
    batch = recipe.train.global_batch_tokens
    share = (step_law_tokens(MIN_STEPS) if batch == "auto" else MIN_STEPS * batch) / total
    advice = f"begin `pilot.texts` x `pilot.lengths` at {share:.2f}"
    if share > _MOST_SHARE:
        rows = int(_MOST_SHARE * total / MIN_STEPS / recipe.packing.seq_len)
        advice = "the large run is too short for a ladder at any batch"
        if rows:
            advice = (
                f"the large run is too short for one at this batch: set `train.global_batch_tokens` to at most "
                f"{rows * recipe.packing.seq_len:,}, and begin `pilot.texts` x `pilot.lengths` at {_MOST_SHARE}"
            )
    return (
        f"{shortest.point.name} has {shortest.num_steps:,} steps. Runs of fewer than {MIN_STEPS:,} have hardly begun to learn, and "
        f"pull the prediction up (docs/pilot.md): {advice}"
    )
