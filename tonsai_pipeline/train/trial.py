"""Trial steps on a copy of the network -> the memory that so many rows at a time take.

    loss ──copy──▶ forward, backward of real rows, under the device's own count ──▶ bytes, or out of memory

The copy has gradients and no optimizer, and speaks to no other process: one that runs out of memory cannot leave its
peers waiting. What the optimizer takes is counted exactly elsewhere (`planner.network.memory_per_gpu`).
"""

from __future__ import annotations

import copy
import gc
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch

from tonsai_pipeline.model.loss import Batch, NextTokenLoss
from tonsai_pipeline.train.backends.backend import arguments


class Memory(Protocol):
    """How a device counts its memory; another one stands for it in tests."""

    def free_bytes(self) -> float:
        """Bytes that this process could still take."""
        ...

    def used_by(self, do: Callable[[], object]) -> float:
        """Return the bytes beyond those of before that were in use at once; out of memory is raised."""
        ...


class CudaMemory:
    """Torch's own count on a GPU."""

    def free_bytes(self) -> float:
        """What other processes leave, and what torch keeps for later."""
        torch.cuda.empty_cache()
        return float(torch.cuda.mem_get_info()[0])

    def used_by(self, do: Callable[[], object]) -> float:
        """Return the peak beyond what was allocated before."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        do()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before)


class Trial:
    """Takes steps with more and more rows, as the real ones will be, and forgets them.

    Args:
        loss: The network; copied.
        batch_of: So many real rows.
        memory: Of the device.
        device: Where the copy goes.
        weights: Type of its weights.
        context: What a forward pass runs in: autocast, where weights are wider than what is computed.
    """

    def __init__(
        self,
        loss: NextTokenLoss,
        batch_of: Callable[[int], Batch],
        memory: Memory,
        *,
        device: torch.device,
        weights: torch.dtype,
        context: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._loss = copy.deepcopy(loss).to(device, weights)
        self._batch_of = batch_of
        self._memory = memory
        self._device = device
        self._context = context

    def bytes_of(self, num_rows: int) -> float:
        """Return what so many rows take beside weights, gradients and optimizer; inf if memory runs out."""
        try:
            # Gradients are part of the states: the first time they are made, the second they are there.
            if next(self._loss.parameters()).grad is None:
                self._step(1)
            return self._memory.used_by(lambda: self._step(num_rows))
        except torch.OutOfMemoryError:
            return math.inf
        finally:
            gc.collect()

    def _step(self, num_rows: int) -> None:
        with self._context():
            nll, z = self._loss(**arguments(self._batch_of(num_rows).to(self._device)))
        (nll + z).backward()


def largest_that_fits(sizes: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """Return the largest of ascending sizes that fits, with as few questions as a search by halves needs.

    Example:
        >>> asked = []
        >>> largest_that_fits([1, 2, 4, 8, 16, 32], lambda size: asked.append(size) or size <= 4)
        4
        >>> asked
        [8, 2, 4]
    """
    place = bisect_left(sizes, True, key=lambda size: not fits(size))
    return sizes[place - 1] if place else None
