"""The training loop, from top to bottom.

    for step: rows ──▶ micro batches ──engine──▶ weights;  now and then: log, measure, save;  stop if asked

Everything a step needs follows from its number (rows, learning rate, dropout seed), so a run that was killed
goes on from a checkpoint to the same last digit.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.eval.batches import make_batch
from tonsai_pipeline.eval.bits_per_byte import HeldOut, measure
from tonsai_pipeline.model.loss import IGNORE, Batch
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.checkpoint import Checkpoints, TrainState
from tonsai_pipeline.train.engine import Engine, StepResult
from tonsai_pipeline.train.metrics import EVENT, TRAIN, VALIDATION, Metrics
from tonsai_pipeline.train.plan import BatchPlan
from tonsai_pipeline.train.schedule import learning_rate
from tonsai_pipeline.train.stop import StopRequest


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        finished: Whether it reached its last step; else it was asked to stop and saved.
        step: Optimizer steps done.
        checkpoint: The last checkpoint.
        train_s: Seconds spent training, over all attempts.
    """

    finished: bool
    step: int
    checkpoint: Path
    train_s: float


@dataclass
class _Window:
    """What happened since the last log record."""

    num_steps: int = 0
    loss_sum: float = 0.0
    num_targets: int = 0
    data_s: float = 0.0
    step_s: float = 0.0


class Trainer:
    """One run, in one of its processes.

    Args:
        engine: The network and its optimizer.
        section: The recipe's train section.
        plan: Which rows when.
        reader: Training rows.
        validation: Held-out rows by language.
        positions: The recipe's `model.positions`.
        fingerprint: Name of the run's work.
        checkpoints: Where states go.
        metrics: Where numbers go.
        reporter: Who is told.
        stop: Whether a signal arrived.
        flops: Operations per token, for MFU.
        peak_flops: What one device promises per second; None: MFU is not reported.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        section: TrainConfig,
        plan: BatchPlan,
        reader: RowReader,
        validation: dict[str, RowReader],
        positions: str,
        fingerprint: str,
        checkpoints: Checkpoints,
        metrics: Metrics,
        reporter: Reporter,
        stop: StopRequest,
        flops: float,
        peak_flops: float | None,
    ) -> None:
        self.engine = engine
        self.section = section
        self.plan = plan
        self.reader = reader
        self.validation = validation
        self.positions = positions
        self.fingerprint = fingerprint
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.reporter = reporter
        self.stop = stop
        self.flops = flops
        self.peak_flops = peak_flops
        self._window = _Window()
        self._skipped = 0
        self._train_s = 0.0

    def run(self, resumed: TrainState | None) -> Outcome:
        """Train from the start, or from a checkpoint that the engine has loaded.

        Raises:
            TrainError: Too many steps in a row were not finite, or the disk is nearly full.
        """
        step = 0
        if resumed is not None:
            step, self._skipped, self._train_s = (
                resumed.step,
                resumed.skipped_in_a_row,
                resumed.train_s,
            )
        self.metrics.rewind(step)
        saved = self.checkpoints.folder / f"step-{step:08d}" if resumed is not None else None
        if step == 0:
            self._validate(0)
        while step < self.plan.num_steps:
            began = time.perf_counter()
            batches = self._read(step)
            num_targets, stopping = self._agree(batches)
            if stopping:
                saved = self._save(step)
                self._event(step, f"asked to stop: saved at step {step:,}")
                return Outcome(False, step, saved, self._train_s)
            read = time.perf_counter()
            result = self._take(step, batches, num_targets)
            step += 1
            self._count(result, num_targets, read - began, time.perf_counter() - began)
            self._guard(step, result, saved)
            if step % self.section.metrics.log_every_steps == 0 or step == self.plan.num_steps:
                self._log(step, result)
            if step % self.section.validation.every_steps == 0 or step == self.plan.num_steps:
                self._validate(step)
            if step % self.section.checkpoint.every_steps == 0 or step == self.plan.num_steps:
                saved = self._save(step)
        return Outcome(True, step, saved or self._save(step), self._train_s)

    def _read(self, step: int) -> list[Batch]:
        engine = self.engine
        return [
            make_batch(
                self.reader,
                rows,
                positions=self.positions,
                use_varlen=engine.use_varlen,
                device=engine.device,
            )
            for rows in self.plan.rows_of(step, engine.rank)
        ]

    def _agree(self, batches: list[Batch]) -> tuple[int, bool]:
        """Sum targets over processes, and learn whether any process was asked to stop."""
        own = sum(int((batch.targets != IGNORE).sum().item()) for batch in batches)
        shared = torch.tensor(
            [own, int(self.stop.is_set)], dtype=torch.int64, device=self.engine.device
        )
        if self.engine.world_size > 1:
            dist.all_reduce(shared)
        return int(shared[0].item()), bool(shared[1].item())

    def _take(self, step: int, batches: list[Batch], num_targets: int) -> StepResult:
        lr = self._lr(step)
        # Dropout's dice depend on the step alone: nothing of them needs saving.
        torch.manual_seed(
            ((self.section.seed * 1_000_003 + step) * 4_096 + self.engine.rank) % 2**63
        )
        return self.engine.step(batches, num_targets=num_targets, lr=lr)

    def _lr(self, step: int) -> float:
        # The rate at the middle of the step: neither the first nor the last step is wasted at rate 0.
        tokens = step * self.plan.step_tokens + self.plan.step_tokens // 2
        optimizer, schedule = self.section.optimizer, self.section.schedule
        return learning_rate(tokens, self.plan.total_tokens, peak=optimizer.lr, schedule=schedule)

    def _count(self, result: StepResult, num_targets: int, data_s: float, step_s: float) -> None:
        self._train_s += step_s
        window = self._window
        window.num_steps += 1
        window.data_s += data_s
        window.step_s += step_s
        if math.isfinite(result.loss):
            window.loss_sum += result.loss * num_targets
            window.num_targets += num_targets

    def _guard(self, step: int, result: StepResult, saved: Path | None) -> None:
        self._skipped = 0 if result.applied else self._skipped + 1
        if result.applied:
            return
        self._event(
            step, f"step {step:,} was skipped: loss {result.loss}, gradient norm {result.grad_norm}"
        )
        if self._skipped >= self.section.guards.max_skipped_steps:
            raise TrainError(
                f"{self._skipped} steps in a row up to step {step:,} had a loss or gradient that is not finite "
                "and were skipped; lower train.optimizer.lr, or look at the rows of these steps",
                step=step,
                checkpoint=str(saved) if saved else None,
            )

    def _log(self, step: int, result: StepResult) -> None:
        window, self._window = self._window, _Window()
        tokens_per_s = window.num_steps * self.plan.step_tokens / window.step_s
        numbers: dict[str, float] = {
            "loss": window.loss_sum / window.num_targets if window.num_targets else math.nan,
            "lr": self._lr(step - 1),
            "grad_norm": result.grad_norm,
            "tokens": step * self.plan.step_tokens,
            "tokens_per_s": tokens_per_s,
            "data_frac": window.data_s / window.step_s,
            "step_s": window.step_s / window.num_steps,
        }
        if self.section.z_loss > 0.0:
            numbers["lse_squared"] = result.lse_squared
        if self.peak_flops is not None:
            numbers["mfu"] = tokens_per_s * self.flops / (self.peak_flops * self.engine.world_size)
        if self.engine.device.type == "cuda":
            numbers["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        self.metrics.write(TRAIN, step, **numbers, last_loss=result.loss)
        self.reporter.metrics(step=step, of=self.plan.num_steps, **numbers)

    def _validate(self, step: int) -> None:
        results: dict[str, HeldOut] = {}
        for language, reader in self.validation.items():
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

    def _save(self, step: int) -> Path:
        state = TrainState(
            step=step,
            fingerprint=self.fingerprint,
            engine=self.engine.name,
            world_size=self.engine.world_size,
            zero_stage=self.engine.zero_stage,
            tokens=step * self.plan.step_tokens,
            skipped_in_a_row=self._skipped,
            train_s=self._train_s,
        )
        return self.checkpoints.save(state, self.engine.save)

    def _event(self, step: int, message: str) -> None:
        self.metrics.write(EVENT, step, message=message)
        self.reporter.log(message)
