"""The face of everything that happens beside the steps of a run.

    on_start · before_step · after_step · after_validation · on_stop          state ◀──checkpoint──▶ load_state

Each is called in all processes, in the order of `make.make_callbacks`.

Source:
    AllenAI, OLMo-core (Apache-2.0), `train/callbacks/callback.py`: hooks and state; ours has five hooks for
    its twenty-three.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.train.backends.backend import StepResult

if TYPE_CHECKING:
    from tonsai_pipeline.train.loop.trainer import Trainer


class Callback:
    """Does nothing; subclasses override what they need.

    Args:
        trainer: Set before the first hook is called.
    """

    trainer: Trainer

    def state(self) -> dict[str, Any]:
        """Return what a resumed run must know to go on exactly; JSON values, the same in every process."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go to the moment of a checkpoint, at a resume or a rollback.

        Args:
            state: What `state` returned then; empty if there was no such callback.
        """

    def on_start(self, *, resumed: bool) -> None:
        """Prepare for the run, before its first step."""

    def before_step(self, step: int) -> None:
        """Prepare for the step after `step` steps."""

    def after_step(self, step: int, result: StepResult) -> None:
        """Look at the network after `step` steps; may roll the run back (`Trainer.roll_back`)."""

    def after_validation(self, step: int, found: Mapping[str, HeldOut]) -> None:
        """Look at what was measured on held-out text after `step` steps."""

    def on_stop(self, step: int) -> None:
        """Save what must not be lost: the run was asked to stop after `step` steps."""
