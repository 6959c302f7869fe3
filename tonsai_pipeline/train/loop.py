"""The training loop, from top to bottom.

    for step: rows ──▶ micro batches ──engine──▶ weights;  now and then: log, measure, save;  stop if asked

Everything a step needs follows from its number and the guards' state (rows, learning rate, dropout seed), so a
run that was killed goes on from a checkpoint to the same last digit.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.model.held_out import HeldOut, measure
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.checkpoint import Checkpoint, Checkpoints, TrainState
from tonsai_pipeline.train.engine import Engine, StepResult
from tonsai_pipeline.train.extras import Extra
from tonsai_pipeline.train.feed import RowFeed, StepRows
from tonsai_pipeline.train.guards import Alarm, GuardState, taken_back, watch
from tonsai_pipeline.train.metrics import EVENT, TRAIN, VALIDATION, Metrics
from tonsai_pipeline.train.plan import BatchPlan, data_step_of
from tonsai_pipeline.train.schedule import learning_rate
from tonsai_pipeline.train.stop import StopRequest
from tonsai_pipeline.train.stopwatch import DATA, OTHER, SAVE, STEP, VALIDATE, WAIT, Stopwatch
from tonsai_pipeline.train.upload import UploadReport
from tonsai_pipeline.train.watchdog import Watchdog


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        finished: Whether it reached its last step; else it was asked to stop and saved.
        step: Optimizer steps done.
        checkpoint: The last checkpoint; None if the disk was full at each save.
        train_s: Seconds spent training, over all attempts.
        num_rollbacks: How often it was taken back.
    """

    finished: bool
    step: int
    checkpoint: Path | None
    train_s: float
    num_rollbacks: int


@dataclass
class _Window:
    """What happened since the last log record."""

    num_steps: int = 0
    loss_sum: float = 0.0
    num_targets: int = 0
    began: float = field(default_factory=time.perf_counter)


class Trainer:
    """One run, in one of its processes.

    Args:
        engine: The network and its optimizer.
        section: The recipe's train section.
        plan: Which rows when.
        feed: Training rows.
        validation: Held-out rows by language.
        positions: The recipe's `model.positions`.
        fingerprint: Name of the run's work.
        checkpoints: Where states go.
        metrics: Where numbers go.
        reporter: Who is told.
        stop: Whether a signal arrived.
        watchdog: Told that the loop goes on.
        notices: What other parts and threads want told; each becomes an event.
        uploads: What became of the uploads; None: there are none, or this is not process 0.
        flops: Operations per token, for MFU.
        peak_flops: What one device promises per second; None: MFU is not reported.
        extras: What else happens before and after steps and measurements.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        section: TrainConfig,
        plan: BatchPlan,
        feed: RowFeed,
        validation: dict[str, RowReader],
        positions: str,
        fingerprint: str,
        checkpoints: Checkpoints,
        metrics: Metrics,
        reporter: Reporter,
        stop: StopRequest,
        watchdog: Watchdog,
        notices: deque[str],
        uploads: Callable[[], UploadReport] | None,
        flops: float,
        peak_flops: float | None,
        extras: Sequence[Extra] = (),
    ) -> None:
        self.engine = engine
        self.section = section
        self.plan = plan
        self.feed = feed
        self.validation = validation
        self.positions = positions
        self.fingerprint = fingerprint
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.reporter = reporter
        self.stop = stop
        self.watchdog = watchdog
        self.notices = notices
        self.uploads = uploads
        self.flops = flops
        self.peak_flops = peak_flops
        self.extras = extras
        self._clock = Stopwatch()
        self._window = _Window()
        self._guards = GuardState()
        self._saved: Path | None = None
        self._saved_step = -1
        self._step = 0
        self._earlier_s = 0.0

    def run(self, resumed: Checkpoint | None) -> Outcome:
        """Train from the start, or from a checkpoint that the engine has loaded.

        Raises:
            TrainError: Too many steps in a row were not finite, too many spikes, or the disk is nearly full.
        """
        if resumed is not None:
            self._earlier_s = resumed.state.train_s
            self._go_to(resumed, resumed.state.guards)
        else:
            self.metrics.rewind(0)
            self._validate(0)
        section, num_steps = self.section, self.plan.num_steps
        self._clock.lap(OTHER)
        while self._step < num_steps:
            self.watchdog.beat("training", self._step)
            self.tell_notices()
            rows = self._read()
            num_targets, stopping = self._agree(rows.num_targets)
            if stopping:
                if self._saved_step != self._step:
                    self._save(self._step)
                self._event(self._step, f"asked to stop: saved at step {self._saved_step:,}")
                return self._outcome(finished=False)
            result = self._take(rows, num_targets)
            self._step += 1
            self._count(result, num_targets)
            if self._guard(self._step, result):
                continue
            step, is_last = self._step, self._step == num_steps
            if is_last or step % section.metrics.log_every_steps == 0:
                self._log(step, result)
            if is_last or step % section.validation.every_steps == 0:
                self._validate(step)
            if is_last or step % section.checkpoint.every_steps == 0:
                self._save(step)
            for extra in self.extras:
                extra.after_step(step)
            self._clock.lap(OTHER)
        return self._outcome(finished=True)

    def tell_notices(self) -> None:
        """Make events of what was noticed meanwhile."""
        while self.notices:
            self._event(self._step, self.notices.popleft())

    @property
    def _train_s(self) -> float:
        return self._earlier_s + self._clock.total(STEP)

    def _outcome(self, *, finished: bool) -> Outcome:
        rollbacks = self._guards.num_rollbacks
        return Outcome(finished, self._step, self._saved, self._train_s, rollbacks)

    def _go_to(self, checkpoint: Checkpoint, guards: GuardState) -> None:
        """Make a checkpoint's moment the present one; the engine has loaded it."""
        self._step, self._guards, self._saved = checkpoint.state.step, guards, checkpoint.folder
        self._saved_step = self._step
        self.metrics.rewind(self._step)
        self._clock.take()
        self._window = _Window()

    def _read(self) -> StepRows:
        step, skips = self._step, self._guards.skips
        following = step + 1 if step + 1 < self.plan.num_steps else None
        rows = self.feed.take(
            data_step_of(step, skips), None if following is None else data_step_of(following, skips)
        )
        self._clock.lap(DATA)
        return rows

    def _agree(self, own_targets: int) -> tuple[int, bool]:
        """Sum targets over processes, and learn whether any process was asked to stop."""
        shared = torch.tensor(
            [own_targets, int(self.stop.is_set)], dtype=torch.int64, device=self.engine.device
        )
        if self.engine.world_size > 1:
            dist.all_reduce(shared)
        agreed = int(shared[0].item()), bool(shared[1].item())
        self._clock.lap(WAIT)
        return agreed

    def _take(self, rows: StepRows, num_targets: int) -> StepResult:
        step, rank = self._step, self.engine.rank
        for extra in self.extras:
            extra.before_step(step)
        # Dropout's dice depend on the step alone: nothing of them needs saving.
        torch.manual_seed(((self.section.seed * 1_000_003 + step) * 4_096 + rank) % 2**63)
        return self.engine.step(
            rows.batches, num_targets=num_targets, lr=self._lr(step), lap=self._clock.lap
        )

    def _lr(self, step: int) -> float:
        # The rate at the middle of the step: neither the first nor the last step is wasted at rate 0.
        tokens = step * self.plan.step_tokens + self.plan.step_tokens // 2
        optimizer, schedule = self.section.optimizer, self.section.schedule
        return learning_rate(tokens, self.plan.total_tokens, peak=optimizer.lr, schedule=schedule)

    def _count(self, result: StepResult, num_targets: int) -> None:
        window = self._window
        window.num_steps += 1
        if math.isfinite(result.loss):
            window.loss_sum += result.loss * num_targets
            window.num_targets += num_targets

    def _guard(self, step: int, result: StepResult) -> bool:
        """Look at a step; return whether the run was taken back."""
        self._guards, alarm = watch(
            self.section.guards, self._guards, loss=result.loss, applied=result.applied
        )
        if not result.applied:
            self._event(
                step,
                f"step {step:,} was skipped: loss {result.loss}, gradient norm {result.grad_norm}",
            )
        if alarm is not None and alarm.kind == "broken":
            raise self._error(
                f"{alarm.num_steps} steps in a row up to step {step:,} had a loss or gradient that is not finite "
                "and were skipped; lower train.optimizer.lr, or look at the rows of these steps"
            )
        return alarm is not None and alarm.kind == "spike" and self._meet_spike(step, alarm, result)

    def _meet_spike(self, step: int, alarm: Alarm, result: StepResult) -> bool:
        """Say that the loss jumped; go back to before it, if that is wanted and possible."""
        section = self.section.guards
        limit = "any finite loss" if alarm.limit is None else f"{alarm.limit:.4f}"
        said = f"loss spike: {alarm.num_steps} steps up to {step:,} above {limit}, now {result.loss:.4f}"
        if section.on_spike != "rollback":
            self._event(step, said)
            return False
        # The rows of a step show in the loss of the next: the cause lies before the first high one.
        wanted = step - alarm.num_steps - section.spike_margin_steps
        found = self.checkpoints.newest(self.fingerprint, at_most=wanted) if wanted >= 0 else None
        if found is None:
            self._event(step, f"{said}; no checkpoint before it, going on")
            return False
        if self._guards.num_rollbacks >= section.max_rollbacks:
            raise self._error(
                f"{said}, after {self._guards.num_rollbacks} rollbacks (train.guards.max_rollbacks); lower "
                "train.optimizer.lr, or look at the rows that were passed over",
                found.folder,
            )
        skips = self._guards.skips
        first, end = data_step_of(wanted, skips), data_step_of(step - 1, skips) + 1
        self.checkpoints.forget_after(found.state.step)
        self.watchdog.beat("loading a checkpoint", step)
        self.engine.load(found.folder)
        guards = taken_back(found.state.guards, self._guards, first=first, end=end)
        self._go_to(found, guards)
        self._event(
            step,
            f"{said}; back to step {self._step:,}, the rows of data steps {first:,}..{end - 1:,} are passed over",
        )
        return True

    def _error(self, message: str, good: Path | None = None) -> TrainError:
        """Return an error that names the last good checkpoint; by default, the last one."""
        checkpoint = good or self._saved
        return TrainError(
            message, step=self._step, checkpoint=None if checkpoint is None else str(checkpoint)
        )

    def _log(self, step: int, result: StepResult) -> None:
        self._clock.lap(OTHER)
        window, self._window = self._window, _Window()
        seconds = self._clock.take()
        step_s = sum(seconds.get(name, 0.0) for name in STEP)
        tokens_per_s = window.num_steps * self.plan.step_tokens / step_s
        numbers: dict[str, float] = {
            "loss": window.loss_sum / window.num_targets if window.num_targets else math.nan,
            "lr": self._lr(step - 1),
            "grad_norm": result.grad_norm,
            "tokens": step * self.plan.step_tokens,
            "tokens_per_s": tokens_per_s,
            "data_frac": seconds.get(DATA, 0.0) / step_s,
            "step_s": step_s / window.num_steps,
        }
        if self.section.z_loss > 0.0:
            numbers["lse_squared"] = result.lse_squared
        if self.peak_flops is not None:
            numbers["mfu"] = tokens_per_s * self.flops / (self.peak_flops * self.engine.world_size)
        if self.engine.device.type == "cuda":
            numbers["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        if self.uploads is not None:
            uploads = self.uploads()
            numbers["uploaded_step"] = uploads.last_step
            numbers["uploads_failed"] = uploads.num_failed
        wall_s = self._window.began - window.began
        self.metrics.write(
            TRAIN, step, **numbers, last_loss=result.loss, split_s=seconds, wall_s=wall_s
        )
        self.reporter.metrics(step=step, of=self.plan.num_steps, **numbers)

    def _validate(self, step: int) -> None:
        self._clock.lap(OTHER)
        results: dict[str, HeldOut] = {}
        for language, reader in self.validation.items():
            self.watchdog.beat(f"measuring {language}", step)
            results[language] = measure(
                self.engine.measure,
                reader,
                batch_rows=self.section.micro_batch_rows,
                max_rows=self.section.validation.max_rows,
                positions=self.positions,
                use_varlen=self.engine.use_varlen,
                device=self.engine.device,
                rank=self.engine.rank,
                world_size=self.engine.world_size,
            )
        self.metrics.write(VALIDATION, step, **{k: v.as_dict() for k, v in results.items()})
        numbers = {
            f"{language}_bits_per_byte": found.bits_per_byte for language, found in results.items()
        }
        self.reporter.metrics(step=step, of=self.plan.num_steps, **numbers)
        self._clock.lap(VALIDATE)
        for extra in self.extras:
            extra.after_validation(step, results)

    def _save(self, step: int) -> None:
        self._clock.lap(OTHER)
        self.watchdog.beat("saving", step)
        state = TrainState(
            step=step,
            fingerprint=self.fingerprint,
            engine=self.engine.name,
            world_size=self.engine.world_size,
            zero_stage=self.engine.zero_stage,
            tokens=step * self.plan.step_tokens,
            train_s=self._train_s,
            guards=self._guards,
        )
        saved = self.checkpoints.save(state, self.engine.save)
        if saved is not None:
            self._saved, self._saved_step = saved, step
        self._clock.lap(SAVE)

    def _event(self, step: int, message: str) -> None:
        self.metrics.write(EVENT, step, message=message)
        self.reporter.log(message)
