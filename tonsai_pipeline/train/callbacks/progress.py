"""Every few steps: loss, speed and where the time went -> a training record.

losses and laps since the last record ──▶ {loss, lr, grad_norm, tokens_per_s, mfu, split_s, ...}
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.checkpoints.uploader import UploadReport
from tonsai_pipeline.train.loop.stopwatch import DATA, OTHER, STEP
from tonsai_pipeline.train.records.metrics import TRAIN


@dataclass
class _Window:
    """What happened since the last record."""

    num_steps: int = 0
    loss_sum: float = 0.0
    num_targets: int = 0
    began: float = field(default_factory=time.perf_counter)


class Progress(Callback):
    """Writes training records.

    Args:
        every_steps: Steps between two.
        flops: Operations per token, for MFU.
        peak_flops: What one device promises per second; None: MFU is not reported.
        uploads: What became of the uploads; None: there are none, or this is not process 0.
    """

    def __init__(
        self,
        every_steps: int,
        *,
        flops: float,
        peak_flops: float | None,
        uploads: Callable[[], UploadReport] | None,
    ) -> None:
        self._every_steps = every_steps
        self._flops = flops
        self._peak_flops = peak_flops
        self._uploads = uploads
        self._window = _Window()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Begin a new window: the steps of the old one are undone."""
        del state
        self._window = _Window()

    def after_step(self, step: int, result: StepResult) -> None:
        """Count the step; write a record when one is due."""
        window = self._window
        window.num_steps += 1
        if math.isfinite(result.loss):
            window.loss_sum += result.loss * result.num_targets
            window.num_targets += result.num_targets
        if self.trainer.is_due(self._every_steps):
            self._write(step, result)

    def _write(self, step: int, result: StepResult) -> None:
        trainer, backend = self.trainer, self.trainer.backend
        trainer.clock.lap(OTHER)
        window, self._window = self._window, _Window()
        seconds = trainer.clock.take()
        step_s = sum(seconds.get(name, 0.0) for name in STEP)
        tokens_per_s = window.num_steps * trainer.plan.step_tokens / step_s
        numbers: dict[str, float] = {
            "loss": window.loss_sum / window.num_targets if window.num_targets else math.nan,
            "lr": trainer.learning_rate(step - 1),
            "grad_norm": result.grad_norm,
            "tokens": step * trainer.plan.step_tokens,
            "tokens_per_s": tokens_per_s,
            "data_frac": seconds.get(DATA, 0.0) / step_s,
            "step_s": step_s / window.num_steps,
        }
        if trainer.run_spec.train.z_loss > 0.0:
            numbers["lse_squared"] = result.lse_squared
        if self._peak_flops is not None:
            numbers["mfu"] = tokens_per_s * self._flops / (self._peak_flops * backend.world_size)
        if backend.device.type == "cuda":
            numbers["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        if self._uploads is not None:
            uploads = self._uploads()
            numbers["uploaded_step"] = uploads.last_step
            numbers["uploads_failed"] = uploads.num_failed
        trainer.journal.metrics.write(
            TRAIN,
            step,
            **numbers,
            last_loss=result.loss,
            split_s=seconds,
            wall_s=self._window.began - window.began,
        )
        trainer.journal.show(step, **numbers)
