"""Recipe sections of continual pretraining: what learns when, and how much of the old language may be lost."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import Section


class FreezePhase(Section):
    """A first part of the run in which only some parameters learn; the others keep their values to the last bit."""

    until_frac: float = Field(gt=0.0, le=1.0)
    """Fraction of all tokens at which the phase ends, 0..1. Phases stand in their order; after the last one
    everything learns."""

    trainable: tuple[str, ...] = Field(min_length=1)
    """What learns: `embeddings` (tokens, in the input and the output layer), `new_embeddings` (only the rows of tokens that the
    base model's tokenizer does not have), or names of parameters with `*`, for example `*.ln_f.*`."""


class RegressionConfig(Section):
    """How much of what the base model knew may be lost, in held-out bits per byte.

    They are compared with those of the base model, measured with its own tokenizer before training.
    """

    max_rise_frac: dict[str, float] = Field(default_factory=dict)
    """By language, how far its bits per byte may stand above the base model's, as a fraction of them, 0..10:
    `{eng: 0.03}` is 3 %. Judged at the end by the asset check `base_language_kept`. Needs `model.base`."""

    stop_after_frac: float | None = Field(default=None, ge=0.0, le=1.0)
    """Fraction of all tokens, 0..1, after which the first measurement above a limit stops the run with an error;
    a rise while the rate warms up again is usual. Empty: the run goes on, and only the check fails."""

    @model_validator(mode="after")
    def _limits_are_fractions(self) -> Self:
        for language, limit in self.max_rise_frac.items():
            if not 0.0 <= limit <= 10.0:
                raise ValueError(f"max_rise_frac of {language} is {limit}, not within 0..10")
        return self
