"""The losses of a run -> is something wrong, and what follows: an event, a rollback, an error.

    (GuardState, loss, applied) ──watch──▶ GuardState', Alarm or nothing

A spike is a loss far above the median of the window before it, several steps in a row. `watch` is pure, so it
decides alike in every process, and its state is part of each checkpoint: a run that is killed between a spike
and its rollback comes to the same decision again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.recipe.train import GuardConfig
from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoints
from tonsai_pipeline.train.loop.batch_plan import data_step_of

#: Makes the median absolute deviation of a normal distribution its standard deviation.
_MAD_TO_DEVIATION = 1.4826
#: Smallest deviation, as a fraction of the median: losses of text learnt by heart hardly vary at all.
_MIN_DEVIATION_FRAC = 0.01
#: Fraction of the window that must be filled before anything is called a spike.
_MIN_WINDOW_FRAC = 0.25


@dataclass(frozen=True)
class GuardState:
    """What the guards remember.

    Args:
        skipped_in_a_row: Steps just before this one that changed nothing.
        losses: Of the last steps that were no spikes, oldest first, at most a window.
        high_in_a_row: Steps just before this one whose loss was a spike.
    """

    skipped_in_a_row: int = 0
    losses: tuple[float, ...] = ()
    high_in_a_row: int = 0

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> GuardState:
        """Read what a manifest holds; nothing: the state before the first step."""
        return cls(**{**raw, "losses": tuple(raw["losses"])}) if raw else cls()


@dataclass(frozen=True)
class Alarm:
    """What is wrong.

    Args:
        kind: skipped (one step changed nothing); broken (too many in a row); spike.
        num_steps: For how many steps, up to the last.
        limit: Loss above which a step is high, for a spike whose yardstick is known.
    """

    kind: Literal["skipped", "broken", "spike"]
    num_steps: int
    limit: float | None = None


def watch(
    section: GuardConfig, state: GuardState, *, loss: float, applied: bool
) -> tuple[GuardState, Alarm | None]:
    """Look at one step.

    Args:
        section: Limits.
        state: Before the step.
        loss: Of the step, in nats.
        applied: Whether it changed the weights.

    Returns:
        The state after the step, and what is wrong, if anything is. After an alarm about a spike the window
        is empty: a level that stays is learnt as the new normal one.

    Source:
        Groeneveld et al. 2024, OLMo (SkipStepOptimizer: a window of 128 losses, 6 deviations); we take median
        and median absolute deviation, which the spikes themselves do not move.
    """
    skipped = 0 if applied else state.skipped_in_a_row + 1
    limit = spike_limit(section, state.losses)
    is_broken = not applied or not math.isfinite(loss)
    is_high = (limit is not None and loss > limit) or (is_broken and section.on_spike == "rollback")
    high = state.high_in_a_row + 1 if is_high else 0
    losses = state.losses if is_high or is_broken else (*state.losses, loss)
    after = replace(
        state,
        skipped_in_a_row=skipped,
        high_in_a_row=high,
        losses=losses[-section.spike_window_steps :],
    )
    if high >= section.spike_steps:
        return replace(after, losses=(), high_in_a_row=0), Alarm("spike", high, limit)
    if skipped >= section.max_skipped_steps:
        return after, Alarm("broken", skipped)
    return after, Alarm("skipped", skipped) if skipped else None


def spike_limit(section: GuardConfig, losses: tuple[float, ...]) -> float | None:
    """Return the loss above which a step is high; None while too little is known.

    Example:
        >>> section = GuardConfig(spike_window_steps=8, spike_deviations=5.0)
        >>> spike_limit(section, (4.0, 4.1, 3.9, 4.0)), spike_limit(section, (4.0,))
        (4.37065, None)
    """
    if (
        section.on_spike == "ignore"
        or len(losses) < _MIN_WINDOW_FRAC * section.spike_window_steps
        or not losses
    ):
        return None
    middle = statistics.median(losses)
    spread = _MAD_TO_DEVIATION * statistics.median(abs(loss - middle) for loss in losses)
    deviation = max(spread, _MIN_DEVIATION_FRAC * abs(middle))
    return round(middle + section.spike_deviations * deviation, 12)


class Guards(Callback):
    """Looks at the loss of each step, and rolls back or ends a run that goes wrong.

    Args:
        section: Limits.
        checkpoints: Where a rollback goes.
    """

    def __init__(self, section: GuardConfig, checkpoints: Checkpoints) -> None:
        self._section = section
        self._checkpoints = checkpoints
        self._state = GuardState()

    def state(self) -> dict[str, Any]:
        """Return what `watch` remembers."""
        return asdict(self._state)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Remember what was remembered at a checkpoint."""
        self._state = GuardState.from_json(state)

    def after_step(self, step: int, result: StepResult) -> None:
        """Look at a step.

        Raises:
            TrainError: Too many steps in a row were not finite, or the run was rolled back too often.
        """
        self._state, alarm = watch(
            self._section, self._state, loss=result.loss, applied=result.applied
        )
        if not result.applied:
            reason = f"loss {result.loss}, gradient norm {result.grad_norm}"
            self.trainer.journal.event(step, f"step {step:,} was skipped: {reason}")
        if alarm is None:
            return
        if alarm.kind == "broken":
            raise self._error(
                f"{alarm.num_steps} steps in a row up to step {step:,} had a loss or gradient that is not finite "
                "and were skipped; lower train.optimizer.lr, or look at the rows of these steps"
            )
        if alarm.kind == "spike":
            self._on_spike(step, alarm, result)

    def _on_spike(self, step: int, alarm: Alarm, result: StepResult) -> None:
        """Log that the loss jumped; go back to before it, if that is wanted and possible."""
        section, trainer = self._section, self.trainer
        limit = "any finite loss" if alarm.limit is None else f"{alarm.limit:.4f}"
        message = f"loss spike: {alarm.num_steps} steps up to {step:,} above {limit}, now {result.loss:.4f}"
        if section.on_spike != "rollback":
            trainer.journal.event(step, message)
            return
        # The rows of a step show in the loss of the next: the cause lies before the first high one.
        wanted = step - alarm.num_steps - section.spike_margin_steps
        fingerprint = trainer.run_spec.fingerprint
        found = self._checkpoints.newest(fingerprint, at_most=wanted) if wanted >= 0 else None
        if found is None:
            trainer.journal.event(step, f"{message}; no checkpoint before it, going on")
            return
        if trainer.num_rollbacks >= section.max_rollbacks:
            raise self._error(
                f"{message}, after {trainer.num_rollbacks} rollbacks (train.guards.max_rollbacks); lower "
                "train.optimizer.lr, or look at the rows that were skipped",
                found.folder,
            )
        skips = trainer.skips
        first, end = data_step_of(wanted, skips), data_step_of(step - 1, skips) + 1
        self._checkpoints.forget_after(found.state.step)
        trainer.watchdog.beat("loading a checkpoint", step)
        self._checkpoints.load(found, trainer.backend.load)
        trainer.roll_back(found.state, first, end)
        trainer.journal.event(
            step,
            f"{message}; rolled back to step {trainer.step:,}, the rows of data steps {first:,}..{end - 1:,} are "
            "skipped",
        )

    def _error(self, message: str, good: Path | None = None) -> TrainError:
        """Return an error that names the last good checkpoint; by default, the last one."""
        last = self._checkpoints.last
        checkpoint = good or (None if last is None else last.folder)
        named = None if checkpoint is None else str(checkpoint)
        return TrainError(message, step=self.trainer.step, checkpoint=named)
