"""The losses of a run -> is something wrong; pure, and so the same in every process and after a resume.

    (GuardState, loss, applied) ──watch──▶ GuardState', Alarm or nothing

A spike is a loss far above the median of the window before it, several steps in a row. The state is part of
each checkpoint: a run that is killed between a spike and its rollback comes to the same decision again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tonsai_pipeline.recipe.train import GuardConfig
from tonsai_pipeline.train.plan import Skips, add_skip

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
        num_rollbacks: How often the run was taken back.
        skips: Rows that are passed over, see `plan.data_step_of`.
    """

    skipped_in_a_row: int = 0
    losses: tuple[float, ...] = ()
    high_in_a_row: int = 0
    num_rollbacks: int = 0
    skips: Skips = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> GuardState:
        """Read what a manifest holds."""
        skips = tuple((int(first), int(end)) for first, end in raw["skips"])
        return cls(**{**raw, "losses": tuple(raw["losses"]), "skips": skips})


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


def taken_back(saved: GuardState, now: GuardState, *, first: int, end: int) -> GuardState:
    """Return the state after a rollback.

    Args:
        saved: State of the checkpoint that the run goes back to.
        now: State at the spike.
        first: First step of data to pass over.
        end: The one after the last.
    """
    skips = add_skip(now.skips, first, end)
    return replace(saved, num_rollbacks=now.num_rollbacks + 1, skips=skips)
