"""Recipe section `evaluate`: what the finished model is measured on and asked to write."""

from __future__ import annotations

from pydantic import Field

from tonsai_pipeline.recipe.section import Section


class GenerationConfig(Section):
    """How sample texts are drawn."""

    max_new_tokens: int = Field(default=64, ge=1, le=8192)
    """Tokens written after each prompt at most, 1..8,192; the model's context may end it earlier."""

    temperature: float = Field(default=0.8, ge=0.0, le=10.0)
    """0 takes the likeliest token each time; 1 draws from the model as it is; range 0..10."""

    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    """Draw from the likeliest tokens that together hold this probability, 0..1."""

    num_samples: int = Field(default=1, ge=1, le=100)
    """Texts per prompt, 1..100."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the draws: same model and seed, same text."""


class InTrainingSamples(Section):
    """Texts that the network writes while it learns, from the same prompts with the same dice each time."""

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between samples, from 1; also at the end. Empty: none are written."""

    prompts: dict[str, tuple[str, ...]] | None = None
    """Prompts by language code (`khm`, `eng`); empty: the first of each language in the shipped set."""

    generation: GenerationConfig = GenerationConfig()
    """How the texts are drawn."""


class EvaluateConfig(Section):
    """Held-out loss and bits per byte per language, and sample texts from fixed prompts."""

    max_rows: int | None = Field(default=None, ge=1)
    """Held-out rows of each language that are measured, from the first; empty: all."""

    batch_rows: int = Field(default=8, ge=1, le=4096)
    """Rows measured at a time, 1..4,096; changes memory, not the result."""

    prompts: dict[str, tuple[str, ...]] | None = None
    """Prompts by language code (`khm`, `eng`); empty: the fixed set shipped in `model/prompts.json`."""

    generation: GenerationConfig = GenerationConfig()
    """How the texts are drawn."""
