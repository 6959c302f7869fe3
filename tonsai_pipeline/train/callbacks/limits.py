"""After each validation: the base model's languages -> an error if one lost more than the recipe allows."""

from __future__ import annotations

from collections.abc import Mapping

from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.regression import refuse_rise


class Limits(Callback):
    """Ends a run in which a language of the base model gets much worse.

    Args:
        base: The base model on held-out rows, before training.
    """

    def __init__(self, base: Mapping[str, HeldOut]) -> None:
        self._base = {language: found.bits_per_byte for language, found in base.items()}

    def after_validation(self, step: int, found: Mapping[str, HeldOut]) -> None:
        """Compare.

        Raises:
            TrainError: A limit is passed, see `regression.refuse_rise`.
        """
        now = {language: numbers.bits_per_byte for language, numbers in found.items()}
        section, num_steps = self.trainer.run_spec.train.regression, self.trainer.plan.num_steps
        refuse_rise(section, self._base, now, step=step, num_steps=num_steps)
