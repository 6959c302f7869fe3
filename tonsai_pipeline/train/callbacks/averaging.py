"""Weights after each step -> their running mean, measured at the end beside the last weights.

step ──▶ mean ... last step ──measure──▶ kept: `average` or `last`, whichever predicts held-out text better
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.train.backends.average import part_of_step
from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.callbacks.validation import Validation
from tonsai_pipeline.train.records.metrics import AVERAGE


class Averaging(Callback):
    """Averages weights, and decides whether the mean or the last weights become the model.

    Args:
        frac: The part of the run over which the mean forgets, 0..1.
        validation: Measures; it has measured the last weights when this callback's turn comes.
    """

    def __init__(self, frac: float, validation: Validation) -> None:
        self._frac = frac
        self._validation = validation
        self._last: Mapping[str, HeldOut] = {}
        self._verdict: dict[str, Any] = {}

    @property
    def verdict(self) -> Mapping[str, Any]:
        """What is kept, and the bits per byte of both by language; empty before the last step."""
        return self._verdict

    @property
    def keeps_average(self) -> bool:
        """Whether the mean is the better one."""
        return self._verdict.get("kept") == "average"

    def state(self) -> dict[str, Any]:
        """Return the verdict: a run that is killed after its last step has it from the checkpoint."""
        return self._verdict

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go to the moment of a checkpoint."""
        self._verdict = dict(state)

    def after_validation(self, step: int, found: Mapping[str, HeldOut]) -> None:
        """Remember how good the weights are as they are."""
        del step
        self._last = found

    def after_step(self, step: int, result: StepResult) -> None:
        """Add the weights to their mean; at the end, measure it."""
        del result
        memory_steps = self._frac * self.trainer.plan.num_steps
        self.trainer.backend.average(part_of_step(step, memory_steps))
        if self.trainer.is_last:
            self._decide()

    def _decide(self) -> None:
        trainer = self.trainer
        with trainer.backend.averaged():
            found = self._validation.measured()
        numbers = {
            name: {language: one.bits_per_byte for language, one in measured.items()}
            for name, measured in (("average", found), ("last", self._last))
        }
        # Geometric: a percent of Khmer counts as much as one of English, whose bytes take more bits.
        kept = min(numbers, key=lambda name: statistics.geometric_mean(numbers[name].values()))
        self._verdict = {"kept": kept, **numbers}
        written = {language: one.as_dict() for language, one in found.items()}
        trainer.journal.metrics.write(AVERAGE, trainer.step, kept=kept, **written)
        shown = {f"{name}_average_bits_per_byte": one.bits_per_byte for name, one in found.items()}
        trainer.journal.show(trainer.step, **shown)
