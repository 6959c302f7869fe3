"""Rows, tokens and processes -> which rows each process reads at each step; pure.

    step s = rows s*G .. s*G+G-1 of the endless row order  ──▶  process r, micro batch m: its share

The rows of a step depend on the step alone. How many processes share them, and in how many micro batches,
changes only who reads which: a run can go on with another number of processes on the very same rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tonsai_pipeline.recipe.train import TrainConfig


@dataclass(frozen=True)
class BatchPlan:
    """How a run is cut into steps and micro batches.

    Args:
        num_steps: Optimizer steps of the run.
        num_rows: Packed training rows.
        seq_len: Tokens in a row.
        global_rows: Rows of one step, over all processes.
        micro_rows: Rows that one process sends through the network at a time.
        grad_accum_steps: Micro batches of one process in a step.
        world_size: Processes.
        seed: Seed of the row order after the first pass.
    """

    num_steps: int
    num_rows: int
    seq_len: int
    global_rows: int
    micro_rows: int
    grad_accum_steps: int
    world_size: int
    seed: int

    @property
    def step_tokens(self) -> int:
        """Tokens of one step, padding included."""
        return self.global_rows * self.seq_len

    @property
    def total_tokens(self) -> int:
        """Tokens of the run, padding included."""
        return self.num_steps * self.step_tokens

    def rows_of(self, step: int, rank: int) -> list[list[int]]:
        """Return the row numbers that process `rank` reads in `step`, one list a micro batch.

        Args:
            step: 0..num_steps-1.
            rank: 0..world_size-1.

        Example:
            >>> plan = BatchPlan(
            ...     2,
            ...     num_rows=8,
            ...     seq_len=4,
            ...     global_rows=4,
            ...     micro_rows=1,
            ...     grad_accum_steps=2,
            ...     world_size=2,
            ...     seed=0,
            ... )
            >>> plan.rows_of(0, rank=0), plan.rows_of(0, rank=1)
            ([[0], [2]], [[1], [3]])
        """
        first = step * self.global_rows
        numbers = []
        for accum in range(self.grad_accum_steps):
            start = first + (accum * self.world_size + rank) * self.micro_rows
            numbers.append([self._row(place) for place in range(start, start + self.micro_rows)])
        return numbers

    def _row(self, place: int) -> int:
        """Return the row at a place of the endless order: first as packed, then shuffled in each pass."""
        epoch, row = divmod(place, self.num_rows)
        return row if epoch == 0 else int(_row_order(self.num_rows, self.seed, epoch)[row])


def make_plan(section: TrainConfig, *, num_rows: int, seq_len: int, world_size: int) -> BatchPlan:
    """Cut a run into steps.

    Args:
        section: Length and batch sizes.
        num_rows: Packed training rows.
        seq_len: Tokens in a row.
        world_size: Processes.

    Returns:
        The plan; its micro batch is the largest that divides each process's share of a step evenly and is
        not above `micro_batch_rows`.

    Raises:
        ValueError: No rows, or a step that cannot be divided among the processes; the message says what fits.
    """
    if num_rows < 1:
        raise ValueError("there are no training rows")
    global_rows, rest = divmod(section.global_batch_tokens, seq_len)
    if rest or global_rows == 0:
        near = max(1, round(section.global_batch_tokens / seq_len)) * seq_len
        raise ValueError(
            f"train.global_batch_tokens {section.global_batch_tokens} is not a multiple of the row length "
            f"{seq_len}; the nearest that is: {near}"
        )
    own_rows, rest = divmod(global_rows, world_size)
    if rest or own_rows == 0:
        near = max(1, round(global_rows / world_size)) * world_size * seq_len
        raise ValueError(
            f"a step of {global_rows} rows cannot be divided among {world_size} processes; "
            f"train.global_batch_tokens {near} can"
        )
    micro_rows = max(
        n for n in range(1, min(section.micro_batch_rows, own_rows) + 1) if own_rows % n == 0
    )
    return BatchPlan(
        num_steps=_num_steps(section, num_rows, seq_len, global_rows),
        num_rows=num_rows,
        seq_len=seq_len,
        global_rows=global_rows,
        micro_rows=micro_rows,
        grad_accum_steps=own_rows // micro_rows,
        world_size=world_size,
        seed=section.seed,
    )


def _num_steps(section: TrainConfig, num_rows: int, seq_len: int, global_rows: int) -> int:
    """Round up: a run sees at least what was asked for, and each row of its last pass."""
    if section.max_tokens is not None:
        return math.ceil(section.max_tokens / (global_rows * seq_len))
    return math.ceil((section.num_epochs or 1.0) * num_rows / global_rows)


@lru_cache(maxsize=2)
def _row_order(num_rows: int, seed: int, epoch: int) -> np.ndarray:
    """(num_rows,) a permutation for each pass after the first."""
    return np.random.default_rng([seed, epoch]).permutation(num_rows)
