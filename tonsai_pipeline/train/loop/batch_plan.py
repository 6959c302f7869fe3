"""Rows, tokens and processes -> which rows each process reads at each step; pure.

    step s = rows s*G .. s*G+G-1 of the endless row order  ──▶  process r, micro batch m: its share

The rows of a step depend on the step alone. How many processes share them, and in how many micro batches,
changes only who reads which: a run can go on with another number of processes on the very same rows. Where a
step cannot be divided evenly, some processes read empty rows, which predict nothing and cost a little time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tonsai_pipeline.recipe.train import TrainConfig, known


@dataclass(frozen=True)
class BatchPlan:
    """How a run is cut into steps and micro batches.

    Args:
        num_steps: Optimizer steps of the run.
        num_rows: Packed training rows.
        seq_len: Tokens in a row.
        global_rows: Rows of one step, over all processes; at most micro_rows * grad_accum_steps * world_size.
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
    def num_empty_rows(self) -> int:
        """Empty rows in each step, over all processes."""
        return self.micro_rows * self.grad_accum_steps * self.world_size - self.global_rows

    @property
    def total_tokens(self) -> int:
        """Tokens of the run, padding included."""
        return self.num_steps * self.step_tokens

    def rows_of(self, step: int, rank: int) -> list[list[int]]:
        """Return the row numbers that process `rank` reads in `step`, one list a micro batch.

        Args:
            step: From 0; beyond the last step where rows were skipped, see `data_step_of`.
            rank: 0..world_size-1.

        Returns:
            Lists of `micro_rows` numbers; -1 is an empty row.

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
        numbers = []
        for accum in range(self.grad_accum_steps):
            start = (accum * self.world_size + rank) * self.micro_rows
            places = range(start, start + self.micro_rows)
            numbers.append([self._row_of(step, place) for place in places])
        return numbers

    def _row_of(self, step: int, place: int) -> int:
        """Return the row at a place of a step, -1 beyond its end."""
        return self._row(step * self.global_rows + place) if place < self.global_rows else -1

    def _row(self, place: int) -> int:
        """Return the row at a place of the endless order: first as packed, then shuffled in each pass."""
        epoch, row = divmod(place, self.num_rows)
        return row if epoch == 0 else int(_row_order(self.num_rows, self.seed, epoch)[row])


def make_plan(section: TrainConfig, *, num_rows: int, seq_len: int, world_size: int) -> BatchPlan:
    """Cut a run into steps.

    Args:
        section: Length and batch sizes; `micro_batch_rows: auto` counts as one row, until it is known.
        num_rows: Packed training rows.
        seq_len: Tokens in a row.
        world_size: Processes.

    Returns:
        The plan. Each process takes its share of a step in as few micro batches of at most `micro_batch_rows`
        as will do, all of one size; so at most a few rows are empty, see `num_empty_rows`.

    Raises:
        ValueError: No rows, a step that is not a whole number of rows, or one with fewer rows than processes.
    """
    if num_rows < 1:
        raise ValueError("there are no training rows")
    batch_tokens = known(section.global_batch_tokens)
    global_rows, rest = divmod(batch_tokens, seq_len)
    if rest or global_rows == 0:
        near = max(1, round(batch_tokens / seq_len)) * seq_len
        raise ValueError(
            f"train.global_batch_tokens {batch_tokens} is not a multiple of the row length "
            f"{seq_len}; the nearest that is: {near}"
        )
    if global_rows < world_size:
        raise ValueError(
            f"a step of {global_rows} rows has none for some of {world_size} processes; "
            f"train.global_batch_tokens {world_size * seq_len} has"
        )
    own_rows = math.ceil(global_rows / world_size)
    most_rows = 1 if section.micro_batch_rows == "auto" else section.micro_batch_rows
    grad_accum_steps = math.ceil(own_rows / most_rows)
    return BatchPlan(
        num_steps=_num_steps(section, num_rows, seq_len, global_rows),
        num_rows=num_rows,
        seq_len=seq_len,
        global_rows=global_rows,
        micro_rows=math.ceil(own_rows / grad_accum_steps),
        grad_accum_steps=grad_accum_steps,
        world_size=world_size,
        seed=section.seed,
    )


def micro_batch_sizes(own_rows: int, most: int) -> list[int]:
    """Return the sizes that micro batches of a process can have, ascending: its rows, divided evenly.

    Example:
        >>> micro_batch_sizes(12, most=8)
        [1, 2, 3, 4, 6]
    """
    counts = range(max(1, math.ceil(own_rows / most)), own_rows + 1)
    return sorted({math.ceil(own_rows / count) for count in counts})


#: Steps of data that are skipped: (first, end) pairs, apart from each other, ascending.
Skips = tuple[tuple[int, int], ...]


def data_step_of(step: int, skips: Skips) -> int:
    """Return whose rows an optimizer step reads, when some steps' rows are skipped.

    Example:
        >>> [data_step_of(step, ((2, 4), (6, 7))) for step in range(6)]
        [0, 1, 4, 5, 7, 8]
    """
    for first, end in skips:
        if step >= first:
            step += end - first
    return step


def add_skip(skips: Skips, first: int, end: int) -> Skips:
    """Skip the data steps first..end-1 as well.

    Example:
        >>> add_skip(((2, 4), (9, 10)), 3, 6)
        ((2, 6), (9, 10))
    """
    apart = [pair for pair in skips if pair[1] < first or pair[0] > end]
    joined = [pair for pair in skips if pair not in apart] + [(first, end)]
    whole = (min(pair[0] for pair in joined), max(pair[1] for pair in joined))
    return tuple(sorted([*apart, whole]))


def _num_steps(section: TrainConfig, num_rows: int, seq_len: int, global_rows: int) -> int:
    """Round up: a run sees at least what was asked for, and each row of its last pass."""
    if section.max_tokens is not None:
        return math.ceil(section.max_tokens / (global_rows * seq_len))
    return math.ceil((section.num_epochs or 1.0) * num_rows / global_rows)


@lru_cache(maxsize=2)
def _row_order(num_rows: int, seed: int, epoch: int) -> np.ndarray:
    """(num_rows,) a permutation for each pass after the first."""
    return np.random.default_rng([seed, epoch]).permutation(num_rows)
