"""The networks that are measured."""

from __future__ import annotations

from tonsai_pipeline.recipe.model import ModelConfig


def network() -> ModelConfig:
    """A network that a CPU trains at a few thousand tokens a second: that of the recipe `demo`."""
    return ModelConfig(num_layers=4, hidden_size=128, num_heads=4)
