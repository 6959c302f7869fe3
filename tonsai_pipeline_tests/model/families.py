"""Tiny configs of the families that people train, and of those that cannot be packed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig

_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 320,
    "max_position_embeddings": 64,
}
_GQA: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2}
_WIDE: dict[str, Any] = {**_GQA, "head_dim": 16}
_GPT2: dict[str, Any] = {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 320}

#: By the name that people use: model type, sizes.
GREEN: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {**_GPT2, "n_positions": 64}),
    "llama": ("llama", _GQA),
    "llama, biases": ("llama", {**_GQA, "attention_bias": True, "mlp_bias": True}),
    "qwen2": ("qwen2", _GQA),
    "qwen3": ("qwen3", _WIDE),
    # Windows shorter than the documents.
    "mistral": ("mistral", {**_GQA, "sliding_window": 4}),
    "gemma3": (
        "gemma3_text",
        {
            **_WIDE,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
            "pad_token_id": 0,
        },
    ),
    "phi3": ("phi3", {**_GQA, "pad_token_id": 0}),
    "olmo2": ("olmo2", {**_GQA, "pad_token_id": 0}),
    "smollm3": ("smollm3", {**_GQA, "pad_token_id": 0}),
    "opt": (
        "opt",
        {
            "hidden_size": 64,
            "word_embed_proj_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 96,
            "vocab_size": 320,
            "max_position_embeddings": 64,
        },
    ),
    "pythia": ("gpt_neox", _SIZES),
    "granite": (
        "granite",
        {
            **_GQA,
            "logits_scaling": 8.0,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 0.1,
            "residual_multiplier": 0.22,
        },
    ),
    "cohere": ("cohere", {**_GQA, "logit_scale": 0.25, "pad_token_id": 0}),
    "qwen3_moe": (
        "qwen3_moe",
        {**_WIDE, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    ),
}

#: What is refused, and a word of the reason.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "gpt-oss": (
        "gpt_oss",
        {**_WIDE, "num_local_experts": 4, "num_experts_per_tok": 2, "pad_token_id": 0},
        "s_aux",
    ),
    "gemma2": ("gemma2", {**_WIDE, "pad_token_id": 0}, "softcap"),
    "falcon": (
        "falcon",
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 320,
            "max_position_embeddings": 64,
        },
        "takes no attention from outside",
    ),
    "gpt_neo": (
        "gpt_neo",
        {
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "vocab_size": 320,
            "max_position_embeddings": 64,
            "attention_types": [[["global"], 2]],
        },
        "takes no attention from outside",
    ),
    "mpt": (
        "mpt",
        {"d_model": 64, "n_heads": 4, "n_layers": 2, "vocab_size": 320, "max_seq_len": 64},
        "cannot be trained on packed rows",
    ),
    "bloom": (
        "bloom",
        {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 320},
        "packed rows give other numbers",
    ),
    "mamba": (
        "mamba",
        {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 320},
        "packed rows give other numbers",
    ),
    "stablelm": ("stablelm", _GQA, "without the borders of documents"),
}


def write_config(folder: Path, model_type: str, sizes: dict[str, Any]) -> Path:
    """Write a config file as a person has it: sizes, everything else at Hugging Face's defaults."""
    AutoConfig.for_model(model_type, **sizes)
    path = folder / "config.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"model_type": model_type, **sizes}))
    return path
