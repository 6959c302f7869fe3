"""The networks that are measured."""

from __future__ import annotations

from tonsai_pipeline.recipe.model import ModelConfig


def network() -> ModelConfig:
    """A network that a CPU trains at a few thousand tokens a second: that of the recipes `demo` and `real`."""
    return ModelConfig(num_layers=4, hidden_size=128, num_heads=4)


def starter_kit(num_heads: int = 24) -> ModelConfig:
    """The starter kit's network: 759,905,280 parameters at 50,000 tokens and 2,048 positions."""
    return ModelConfig(num_layers=24, hidden_size=1536, num_heads=num_heads)
