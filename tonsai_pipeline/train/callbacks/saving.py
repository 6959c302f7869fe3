"""Every few steps, at the end and at a stop: the whole training state -> a checkpoint."""

from __future__ import annotations

from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoints
from tonsai_pipeline.train.loop.stopwatch import OTHER, SAVE


class Saving(Callback):
    """Writes checkpoints.

    Args:
        checkpoints: Where they go.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def after_step(self, step: int, result: StepResult) -> None:
        """Save when it is due."""
        del step, result
        if self.trainer.is_due(self._checkpoints.section.every_steps):
            self._save()

    def on_stop(self, step: int) -> None:
        """Save, unless this very step is saved."""
        if self._saved_step != step:
            self._save()
        message = f"asked to stop: saved at step {self._saved_step:,}"
        self.trainer.journal.event(step, message)

    @property
    def _saved_step(self) -> int:
        last = self._checkpoints.last
        return -1 if last is None else last.state.step

    def _save(self) -> None:
        trainer = self.trainer
        trainer.clock.lap(OTHER)
        trainer.watchdog.beat("saving", trainer.step)
        self._checkpoints.save(trainer.state(), trainer.backend.save)
        trainer.clock.lap(SAVE)
