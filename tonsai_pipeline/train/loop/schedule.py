r"""Tokens seen -> learning rate; pure, so that a resumed run needs no state of a scheduler.

    lr ▲    ______________
       |   /              \
       |  /                \
       | /                  \___ min_lr
       +--------------------------▶ tokens

This is `wsd`: warm up, stay, decay. `cosine` falls from the end of the warm-up on.
"""

from __future__ import annotations

import math

from tonsai_pipeline.recipe.train import ScheduleConfig


def in_fractions(schedule: ScheduleConfig, num_steps: int) -> ScheduleConfig:
    """Return a schedule whose warm-up is a fraction of the run, at most what the decay leaves of it.

    Example:
        >>> in_fractions(ScheduleConfig(warmup_steps=20), num_steps=80).warmup_frac
        0.25
    """
    if schedule.warmup_steps is None:
        return schedule
    most = 1.0 - schedule.decay_frac if schedule.shape == "wsd" else 1.0
    frac = min(schedule.warmup_steps / num_steps, most)
    return schedule.model_copy(update={"warmup_frac": frac})


def learning_rate(
    tokens_seen: int, total_tokens: int, *, peak: float, schedule: ScheduleConfig
) -> float:
    """Return the rate for the step that begins after `tokens_seen` tokens.

    Args:
        tokens_seen: Tokens consumed before the step, 0..total_tokens.
        total_tokens: Length of the run, in tokens.
        peak: Highest rate.
        schedule: Its shape.

    Returns:
        A rate in 0..peak. Both the rise and the decay of `wsd` are linear.

    Raises:
        ValueError: An empty run.

    Source:
        Hu et al. 2024, "MiniCPM", arXiv:2404.06395, section 4 (warm-up, stable, decay; 10 % of decay is
        enough); we decay linearly where they decay exponentially.

    Example:
        >>> wsd = ScheduleConfig(warmup_frac=0.1, decay_frac=0.2)
        >>> [round(learning_rate(t, 100, peak=1.0, schedule=wsd), 2) for t in (0, 5, 50, 90, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if total_tokens < 1:
        raise ValueError(f"a run of {total_tokens} tokens has no learning rate")
    done = min(max(tokens_seen / total_tokens, 0.0), 1.0)
    if done < schedule.warmup_frac:
        return peak * done / schedule.warmup_frac
    floor = schedule.min_lr_frac
    if schedule.shape == "cosine":
        span = 1.0 - schedule.warmup_frac
        fallen = (
            0.5 * (1.0 - math.cos(math.pi * (done - schedule.warmup_frac) / span)) if span else 0.0
        )
        return peak * (1.0 - (1.0 - floor) * fallen)
    decay_start = 1.0 - schedule.decay_frac
    if done <= decay_start or schedule.decay_frac == 0.0:
        return peak
    # Rounding may carry the quotient past 1, and the rate below 0.
    fallen = min((done - decay_start) / schedule.decay_frac, 1.0)
    return peak * (1.0 - (1.0 - floor) * fallen)
