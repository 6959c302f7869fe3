"""Every few steps: held-out rows of each language -> bits per byte, by language."""

from __future__ import annotations

from collections.abc import Mapping

from tonsai_pipeline.model.held_out import HeldOut, measure
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.loop.stopwatch import OTHER, VALIDATE
from tonsai_pipeline.train.records.metrics import VALIDATION


class Validation(Callback):
    """Measures held-out rows: before the first step, now and then, and at the end.

    Args:
        readers: Rows by language.
    """

    def __init__(self, readers: Mapping[str, RowReader]) -> None:
        self._readers = readers

    def on_start(self, *, resumed: bool) -> None:
        """Measure the network before training."""
        if not resumed:
            self._measure()

    def after_step(self, step: int, result: StepResult) -> None:
        """Measure when it is due."""
        del step, result
        if self.trainer.is_due(self.trainer.run_spec.train.validation.every_steps):
            self._measure()

    def _measure(self) -> None:
        trainer, found = self.trainer, self.measured()
        numbers = {language: held_out.as_dict() for language, held_out in found.items()}
        trainer.journal.metrics.write(VALIDATION, trainer.step, **numbers)
        shown = {f"{name}_bits_per_byte": one.bits_per_byte for name, one in found.items()}
        trainer.journal.show(trainer.step, **shown)
        trainer.validated(found)

    def measured(self) -> Mapping[str, HeldOut]:
        """Measure the weights as they are; called in every process."""
        trainer, backend, run = self.trainer, self.trainer.backend, self.trainer.run_spec
        trainer.clock.lap(OTHER)
        found: dict[str, HeldOut] = {}
        for language, reader in self._readers.items():
            trainer.watchdog.beat(f"measuring {language}", trainer.step)
            found[language] = measure(
                backend.measure,
                reader,
                batch_rows=trainer.plan.micro_rows,
                max_rows=run.train.validation.max_rows,
                positions=run.model.positions,
                use_varlen=backend.use_varlen,
                device=backend.device,
                rank=backend.rank,
                world_size=backend.world_size,
            )
        trainer.clock.lap(VALIDATE)
        return found
