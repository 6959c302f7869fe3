"""Any network -> the sizes that its costs follow from, without its weights.

config ──torch's meta device──▶ a network without numbers ──shape_of_network──▶ planner's Shape
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.planner.network import Shape
from tonsai_pipeline.recipe.model import ModelConfig


def measure_shape(section: ModelConfig, *, vocab_size: int | None, seq_len: int) -> Shape:
    """Count a network from its config; a model on the Hub costs the download of that file.

    Args:
        section: A config file, a base model, or sizes.
        vocab_size: Rows of the embedding; None: as many as the config says.
        seq_len: Tokens of a row.

    Raises:
        RecipeError: The config cannot be opened, or is of no causal language model.
    """
    place = str(section.config_file or section.base)
    try:
        config: Any = AutoConfig.from_pretrained(place, revision=section.base_revision)
        config.vocab_size = vocab_size or config.vocab_size
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"model: {place}: cannot be counted: {error}") from error
    return shape_of_network(network, seq_len)


def shape_of_network(network: PreTrainedModel, seq_len: int) -> Shape:
    """Count a network that is there, with or without weights.

    Args:
        network: The model with its head.
        seq_len: Tokens of a row.
    """
    config = network.config.get_text_config()
    layers = int(config.num_hidden_layers)
    heads = int(config.num_attention_heads)
    width = int(config.hidden_size)
    head_dim = int(getattr(config, "head_dim", None) or width // heads)
    return Shape(
        family=config.model_type,
        num_layers=layers,
        hidden_size=width,
        num_heads=heads,
        vocab_size=int(config.vocab_size),
        seq_len=seq_len,
        num_parameters=sum(weight.numel() for weight in network.parameters()),
        active_weights=_active_weights(network, config),
        attention_width=sum(
            heads * head_dim * min(window or seq_len, seq_len) / seq_len
            for window in _windows(config, layers)
        ),
    )


def _active_weights(network: PreTrainedModel, config: PretrainedConfig) -> float:
    """Matrices of all layers but the embeddings; of experts, the part that one token meets."""
    num_experts = next(
        (n for key in ("num_experts", "num_local_experts") if (n := getattr(config, key, None))), 0
    )
    met = getattr(config, "num_experts_per_tok", None) or num_experts
    total = 0.0
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding):
            continue
        part = met / num_experts if num_experts and "experts" in name else 1.0
        matrices = (weight for weight in module.parameters(recurse=False) if weight.ndim >= 2)
        total += part * sum(weight.numel() for weight in matrices)
    return total


def _windows(config: PretrainedConfig, layers: int) -> Sequence[int | None]:
    """The window of each layer; None: it sees the whole row."""
    window = getattr(config, "sliding_window", None)
    if window is None or getattr(config, "use_sliding_window", True) is False:
        return [None] * layers
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * layers
    return [window if kind == "sliding_attention" else None for kind in kinds]
