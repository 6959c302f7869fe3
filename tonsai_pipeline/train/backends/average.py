"""Master weights after each step -> their running mean, which forgets over a part of the run, as this process holds it.

    fragments of step 8,001 ─┐
    fragments of step 8,002 ─┼─▶ running mean ──checkpoint──▶ kind `average`      ──gather──▶ whole parameters
    ...                      ┘

How much a step counts follows from its number alone, so nothing but the mean needs saving.

Source:
    Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; the form, an exponential mean over a
    fifth of the run, is the best of ten that were measured (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from tonsai_pipeline.train.checkpoints.fragments import AVERAGE, Fragment, FragmentReader


class WeightAverage:
    """The mean of this process's fragments; empty before the first step."""

    def __init__(self) -> None:
        self._means: dict[tuple[str, int], Tensor] = {}

    def update(self, fragments: Iterable[Fragment], part: float) -> None:
        """Move the mean towards the weights of a step.

        Args:
            fragments: This process's masters; those that are not trained are their own mean.
            part: How far, from `part_of_step`; 1 begins anew.
        """
        with torch.no_grad():
            for fragment in fragments:
                place = (fragment.name, fragment.start)
                if fragment.key is None:
                    continue
                if part == 1.0:
                    self._means[place] = fragment.weight.clone()
                else:
                    self._means[place].lerp_(fragment.weight, part)

    def values(self) -> Iterable[tuple[str, int, Tensor]]:
        """Return name, start and mean of each fragment."""
        return [(name, start, mean) for (name, start), mean in self._means.items()]

    def load(self, reader: FragmentReader, fragments: Iterable[Fragment]) -> None:
        """Go to the moment of a checkpoint, whoever wrote it."""
        self._means = {
            (part.name, part.start): reader.read(
                AVERAGE, part.name, part.start, part.weight.numel()
            ).to(part.weight.device)
            for part in fragments
            if reader.has(AVERAGE, part.name)
        }

    def whole(self, name: str, like: Tensor, *, is_divided: bool) -> Tensor:
        """Return the mean of a whole parameter, gathered from all processes; called in each of them.

        Args:
            name: Of a parameter that is trained.
            like: The parameter: shape and device of the result, which is fp32.
            is_divided: Whether processes hold different parts.
        """
        full = torch.zeros(like.numel(), dtype=torch.float32, device=like.device)
        for (owner, start), mean in self._means.items():
            if owner == name:
                full[start : start + mean.numel()] = mean.to(full.device)
        if is_divided and dist.is_initialized():
            dist.all_reduce(full)
        return full.view(like.shape)


def part_of_step(step: int, memory_steps: float) -> float:
    """Return how far the weights after a step move their mean: an exponential mean without a first value's weight.

    Args:
        step: Number of the step, from 1.
        memory_steps: Steps after which a step counts for 1/e of what it did, at least 1.

    Example:
        >>> [round(part_of_step(step, 4.0), 3) for step in (1, 2, 3, 100)]
        [1.0, 0.571, 0.432, 0.25]
    """
    keep = 1.0 - 1.0 / max(memory_steps, 1.0)
    return 1.0 if step == 1 else (1.0 - keep) / (1.0 - keep**step)
