"""Rows of the next step, made ready while the network works on this one.

plan, skips ──step──▶ row numbers ──a thread──▶ micro batches in (pinned) memory ──take──▶ the loop
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.loss import IGNORE, Batch
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.loop.batch_plan import BatchPlan


@dataclass(frozen=True)
class StepRows:
    """What one process reads in one step.

    Args:
        batches: Micro batches, on the CPU.
        num_targets: Predicted tokens in them.
    """

    batches: Sequence[Batch]
    num_targets: int


class RowFeed:
    """Reads the rows of one process, one step ahead.

    Args:
        reader: Packed rows.
        plan: Which rows when.
        rank: This process.
        positions: See `make_batch`.
        use_varlen: See `make_batch`.
        pinned: Whether batches are copied to pinned memory, from which a GPU fetches without waiting.
    """

    def __init__(
        self,
        reader: RowReader,
        plan: BatchPlan,
        rank: int,
        *,
        positions: str,
        use_varlen: bool,
        pinned: bool,
    ) -> None:
        self._reader = reader
        self._plan = plan
        self._rank = rank
        self._positions = positions
        self._use_varlen = use_varlen
        self._pinned = pinned
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows")
        self._ahead: tuple[int, Future[StepRows]] | None = None

    def take(self, data_step: int, following: int | None) -> StepRows:
        """Return the rows of a step, and begin on those of the next.

        Args:
            data_step: Whose rows are wanted, see `plan.data_step_of`.
            following: Whose will be wanted next, by all that is known; another may be asked for.

        Raises:
            DataError: A row cannot be read.
        """
        if self._ahead is not None and self._ahead[0] == data_step:
            rows = self._ahead[1].result()
        else:
            rows = self._read(data_step)
        self._ahead = (
            None if following is None else (following, self._pool.submit(self._read, following))
        )
        return rows

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, data_step: int) -> StepRows:
        batches = [
            make_batch(self._reader, rows, positions=self._positions, use_varlen=self._use_varlen)
            for rows in self._plan.rows_of(data_step, self._rank)
        ]
        count = sum(int((batch.targets != IGNORE).sum().item()) for batch in batches)
        return StepRows([b.pinned() for b in batches] if self._pinned else batches, count)
