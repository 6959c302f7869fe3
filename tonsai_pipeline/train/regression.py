"""Bits per byte of the base model and of the one in training -> which languages lost too much; pure.

base {eng: 1.10}, now {eng: 1.16}, limit {eng: 0.03} ──▶ eng rose by 5.5 %, 3.0 % is allowed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.recipe.continual import RegressionConfig


@dataclass(frozen=True)
class Rise:
    """A limited language.

    Args:
        language: Its code.
        base: Bits per byte of the base model.
        now: Of the model in training.
        rise_frac: How far `now` stands above `base`, as a fraction of it; below 0 where it is better.
        max_rise_frac: What the recipe allows.
    """

    language: str
    base: float
    now: float
    rise_frac: float
    max_rise_frac: float

    @property
    def is_too_high(self) -> bool:
        """Whether more was lost than is allowed."""
        return self.rise_frac > self.max_rise_frac

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.language}: {self.now:.4f} bits per byte, the base model had {self.base:.4f} "
            f"({self.rise_frac:+.2%}, allowed {self.max_rise_frac:+.2%})"
        )


def find_rises(
    limits: Mapping[str, float], base: Mapping[str, float], now: Mapping[str, float]
) -> list[Rise]:
    """Compare every limited language.

    Args:
        limits: `train.regression.max_rise_frac`.
        base: Bits per byte of the base model by language.
        now: Of the model in training.

    Example:
        >>> [rise] = find_rises({"eng": 0.03}, {"eng": 1.0}, {"eng": 1.05, "khm": 0.4})
        >>> str(rise), rise.is_too_high
        ('eng: 1.0500 bits per byte, the base model had 1.0000 (+5.00%, allowed +3.00%)', True)
    """
    return [
        Rise(language, base[language], now[language], now[language] / base[language] - 1.0, limit)
        for language, limit in sorted(limits.items())
        if language in base and language in now
    ]


def refuse_rise(
    section: RegressionConfig,
    base: Mapping[str, float],
    now: Mapping[str, float],
    *,
    step: int,
    num_steps: int,
) -> None:
    """End a run in which a language lost too much, if the recipe says so and from when on it does.

    Args:
        section: Limits, and the fraction of the run after which they stop it.
        base: Bits per byte of the base model.
        now: Of the model in training.
        step: Optimizer steps done.
        num_steps: Of the run.

    Raises:
        TrainError: A limit is passed; the message has the numbers and what can be done.
    """
    after = section.stop_after_frac
    if after is None or step < after * num_steps or step == 0:
        return
    lost = [rise for rise in find_rises(section.max_rise_frac, base, now) if rise.is_too_high]
    if lost:
        message = "; ".join(str(rise) for rise in lost)
        raise TrainError(
            f"step {step:,}: {message}. Give the old language a larger share (mixture.languages), lower "
            "train.optimizer.lr, or allow more (train.regression)",
            step=step,
        )
