"""The training loop, from top to bottom.

    for step: rows ──▶ micro batches ──backend──▶ weights ──▶ callbacks (log, measure, save, ...);  stop if asked

Everything a step needs follows from its number and the skipped rows (rows, learning rate, dropout seed), so a
run that was killed goes on from a checkpoint to the same last digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.recipe.train import known
from tonsai_pipeline.storage.job_folder import check_start
from tonsai_pipeline.train.backends.backend import Backend, StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.checkpoints.checkpoint import TrainState
from tonsai_pipeline.train.launch.watchdog import Watchdog
from tonsai_pipeline.train.loop.batch_plan import BatchPlan, Skips, add_skip, data_step_of
from tonsai_pipeline.train.loop.feed import RowFeed, StepRows
from tonsai_pipeline.train.loop.schedule import in_fractions, learning_rate
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.loop.stopwatch import DATA, OTHER, STEP, WAIT, Stopwatch
from tonsai_pipeline.train.records.journal import Journal
from tonsai_pipeline.train.spec import TrainRun


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        finished: Whether it reached its last step; else it was asked to stop.
        step: Optimizer steps done.
        train_s: Seconds spent training, over all attempts.
        num_rollbacks: How often it was rolled back.
    """

    finished: bool
    step: int
    train_s: float
    num_rollbacks: int


class Trainer:
    """One run, in one of its processes.

    Args:
        backend: The network and its optimizer.
        run: The recipe's train section, and the name of the work.
        plan: Which rows when.
        feed: Training rows.
        journal: Where numbers and events go.
        stop: Whether a signal arrived.
        watchdog: Notified that the loop goes on.
        callbacks: What happens beside the steps, in this order.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        run: TrainRun,
        plan: BatchPlan,
        feed: RowFeed,
        journal: Journal,
        stop: StopRequest,
        watchdog: Watchdog,
        callbacks: Sequence[Callback],
    ) -> None:
        self.backend = backend
        self.run_spec = run
        self.plan = plan
        self.feed = feed
        self.journal = journal
        self.stop = stop
        self.watchdog = watchdog
        self.callbacks = callbacks
        self.clock = Stopwatch()
        self.step = 0
        self.skips: Skips = ()
        self.num_rollbacks = 0
        self._earlier_s = 0.0
        for callback in callbacks:
            callback.trainer = self

    @property
    def is_last(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.plan.num_steps

    def is_due(self, every_steps: int) -> bool:
        """Whether something that is done every so many steps, and at the end, is done now."""
        return self.is_last or self.step % every_steps == 0

    def run(self, resumed: TrainState | None) -> Outcome:
        """Train from the start, or from the state of a checkpoint that the backend has loaded.

        Raises:
            TrainError: A callback ends the run: too many steps were not finite, the disk is nearly full, ...
        """
        if resumed is None:
            self.journal.rewind(0)
        else:
            self._earlier_s = resumed.train_s
            self.skips, self.num_rollbacks = resumed.skips, resumed.num_rollbacks
            self._go_to(resumed)
        for callback in self.callbacks:
            callback.on_start(resumed=resumed is not None)
        self.clock.lap(OTHER)
        while not self.is_last:
            self.watchdog.beat("training", self.step)
            self.journal.flush(self.step)
            rows = self._read()
            num_targets, stopping = self._agree(rows.num_targets)
            if stopping:
                for callback in self.callbacks:
                    callback.on_stop(self.step)
                break
            result = self._take(rows, num_targets)
            self.step += 1
            self._after_step(result)
        return Outcome(self.is_last, self.step, self._train_s, self.num_rollbacks)

    def state(self) -> TrainState:
        """Return what a checkpoint must hold besides weights and optimizer."""
        return TrainState(
            step=self.step,
            fingerprint=self.run_spec.fingerprint,
            backend=self.backend.name,
            world_size=self.backend.world_size,
            zero_stage=self.backend.zero_stage,
            tokens=self.step * self.plan.step_tokens,
            train_s=self._train_s,
            skips=self.skips,
            num_rollbacks=self.num_rollbacks,
            loss_scale=self.backend.scale_state(),
            callbacks={
                type(callback).__name__: state
                for callback in self.callbacks
                if (state := callback.state())
            },
        )

    def roll_back(self, saved: TrainState, first: int, end: int) -> None:
        """Go back to the state of a checkpoint, which the backend has loaded, and skip rows.

        Args:
            saved: The state; what was skipped since it was saved stays skipped.
            first: First step of data to skip.
            end: The one after the last.
        """
        self.skips = add_skip(self.skips, first, end)
        self.num_rollbacks += 1
        self._go_to(saved)

    def validated(self, found: Mapping[str, HeldOut]) -> None:
        """Hand what was measured on held-out text to all callbacks."""
        for callback in self.callbacks:
            callback.after_validation(self.step, found)

    def learning_rate(self, step: int) -> float:
        """Return the rate of the step after `step` steps."""
        # The rate at the middle of the step: neither the first nor the last step is wasted at rate 0.
        tokens = step * self.plan.step_tokens + self.plan.step_tokens // 2
        section = self.run_spec.train
        peak = known(section.optimizer.lr)
        schedule = in_fractions(section.schedule, self.plan.num_steps)
        return learning_rate(tokens, self.plan.total_tokens, peak=peak, schedule=schedule)

    @property
    def _train_s(self) -> float:
        return self._earlier_s + self.clock.total(STEP)

    def _go_to(self, saved: TrainState) -> None:
        self.step = saved.step
        self.backend.load_scale_state(saved.loss_scale)
        self.journal.rewind(self.step)
        self.clock.take()
        for callback in self.callbacks:
            callback.load_state(saved.callbacks.get(type(callback).__name__, {}))

    def _after_step(self, result: StepResult) -> None:
        step = self.step
        if self.backend.rank == 0:
            check_start(self.run_spec.output_dir)
        for callback in self.callbacks:
            callback.after_step(step, result)
            if self.step != step:
                # Rolled back: the moment that the others would look at is gone.
                return
        self.clock.lap(OTHER)

    def _read(self) -> StepRows:
        following = self.step + 1 if self.step + 1 < self.plan.num_steps else None
        rows = self.feed.take(
            data_step_of(self.step, self.skips),
            None if following is None else data_step_of(following, self.skips),
        )
        self.clock.lap(DATA)
        return rows

    def _agree(self, own_targets: int) -> tuple[int, bool]:
        """Sum targets over processes, and learn whether any process was asked to stop."""
        shared = torch.tensor(
            [own_targets, int(self.stop.is_set)], dtype=torch.int64, device=self.backend.device
        )
        if self.backend.world_size > 1:
            dist.all_reduce(shared)
        agreed = int(shared[0].item()), bool(shared[1].item())
        self.clock.lap(WAIT)
        return agreed

    def _take(self, rows: StepRows, num_targets: int) -> StepResult:
        step, rank = self.step, self.backend.rank
        for callback in self.callbacks:
            callback.before_step(step)
        # Dropout's random numbers depend on the step alone: no generator needs saving.
        seed = self.run_spec.train.seed
        torch.manual_seed(((seed * 1_000_003 + step) * 4_096 + rank) % 2**63)
        lr = self.learning_rate(step)
        return self.backend.step(rows.batches, num_targets=num_targets, lr=lr, lap=self.clock.lap)
