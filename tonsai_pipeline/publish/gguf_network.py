"""A model's config and weights -> the keys and tensors that llama.cpp computes with.

    config.json ──network_of──▶ Network: architecture, keys, name and layout of each tensor

Three layouts differ from the saved ones: gpt2 keeps its matrices transposed; llama turns pairs of neighbouring
channels where transformers turns halves; rows of the embedding without a token are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from tonsai_pipeline.errors import DataError

Array = npt.NDArray[Any]

_ARCHITECTURES = {
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
#: What llama.cpp computes; a config that says otherwise would be computed wrong without a word.
_REQUIRED: dict[str, dict[str, tuple[object, ...]]] = {
    "gpt2": {
        # llama.cpp computes gelu by its approximation with tanh.
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True, None),
        "scale_attn_by_inverse_layer_idx": (False, None),
        "add_cross_attention": (False, None),
    },
    "": {
        "hidden_act": ("silu",),
        "use_sliding_window": (False, None),
        "mlp_bias": (False, None),
    },
}
_GPT2_TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
#: Buffers of older files, not weights.
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")


@dataclass(frozen=True)
class Network:
    """How a saved network is written for llama.cpp.

    Args:
        arch: llama.cpp's architecture.
        num_layers: Blocks.
        keys: Values under `general.architecture`'s own prefix, by the name of the writer's method.
        num_rows: Rows of the embedding and of the output layer that have a token.
        heads: Query and key heads, where channels are turned.
    """

    arch: gguf.MODEL_ARCH
    num_layers: int
    keys: dict[str, Any]
    num_rows: int
    heads: tuple[int, int] | None
    _names: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", gguf.get_tensor_name_map(self.arch, self.num_layers))

    def tensor_name(self, name: str) -> str | None:
        """Return llama.cpp's name of a saved tensor, None for a buffer that is not a weight.

        Raises:
            DataError: llama.cpp has no place for it.
        """
        if name.endswith(_BUFFERS):
            return None
        found = self._names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise DataError(
                f"llama.cpp's {gguf.MODEL_ARCH_NAMES[self.arch]} has no tensor for {name}"
            )
        return found

    def layout(
        self, name: str, shape: tuple[int, ...]
    ) -> tuple[tuple[int, ...], Callable[[Array], Array]]:
        """Return the shape of a saved tensor in the file, and what brings it there.

        Raises:
            DataError: The embedding has fewer rows than there are tokens.
        """
        if self.arch == gguf.MODEL_ARCH.GPT2 and name.endswith(_GPT2_TRANSPOSED):
            return shape[::-1], np.transpose
        if self._names.get_name(name, try_suffixes=(".weight",)) in (
            "token_embd.weight",
            "output.weight",
        ):
            if shape[0] < self.num_rows:
                raise DataError(
                    f"{name} has {shape[0]} rows for the {self.num_rows} tokens of the tokenizer beside it"
                )
            return (self.num_rows, *shape[1:]), lambda array: array[: self.num_rows]
        heads = dict(zip((".q_proj.", ".k_proj."), self.heads or (), strict=False))
        turned = [num_heads for part, num_heads in heads.items() if part in name]
        if turned:
            return shape, lambda array: _pairs(array, turned[0])
        return shape, lambda array: array


def network_of(config: dict[str, Any], num_tokens: int) -> Network:
    """Read a config.json.

    Args:
        config: Its values.
        num_tokens: Tokens of the vocabulary; further rows of the embedding only pad it.

    Raises:
        DataError: llama.cpp would compute another network.
    """
    kind = config["model_type"]
    if kind not in _ARCHITECTURES:
        raise DataError(
            f"model type {kind} is not written as GGUF here; {', '.join(_ARCHITECTURES)} are"
        )
    for name, allowed in _REQUIRED["gpt2" if kind == "gpt2" else ""].items():
        if config.get(name) not in allowed:
            raise DataError(f"llama.cpp's {kind} is not computed with {name} = {config[name]!r}")
    keys = _gpt2_keys(config) if kind == "gpt2" else _rope_keys(config)
    return Network(
        arch=_ARCHITECTURES[kind],
        num_layers=keys["block_count"],
        keys=keys | {"vocab_size": num_tokens},
        num_rows=num_tokens,
        heads=(keys["head_count"], keys["head_count_kv"]) if kind == "llama" else None,
    )


def _gpt2_keys(config: dict[str, Any]) -> dict[str, Any]:
    width = config["n_embd"]
    return {
        "context_length": config["n_positions"],
        "embedding_length": width,
        "feed_forward_length": config.get("n_inner") or 4 * width,
        "block_count": config["n_layer"],
        "head_count": config["n_head"],
        "layer_norm_eps": config["layer_norm_epsilon"],
    }


def _rope_keys(config: dict[str, Any]) -> dict[str, Any]:
    rope = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or {}
    kind = rope.get("rope_type", scaling.get("rope_type", scaling.get("type", "default")))
    if kind != "default":
        raise DataError(f"rotary positions of type {kind} are not written as GGUF here")
    num_heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // num_heads
    return {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "block_count": config["num_hidden_layers"],
        "head_count": num_heads,
        "head_count_kv": config.get("num_key_value_heads") or num_heads,
        "layer_norm_rms_eps": config["rms_norm_eps"],
        "key_length": head_dim,
        "value_length": head_dim,
        "rope_dimension_count": head_dim,
        "rope_freq_base": float(rope.get("rope_theta", config.get("rope_theta", 10_000.0))),
    }


def _pairs(array: Array, num_heads: int) -> Array:
    """Put channel i and channel i + half of each head side by side.

    Args:
        array: (num_heads * head_dim, ...): halves one after the other in each head.
        num_heads: Heads.
    """
    halves = array.reshape(num_heads, 2, -1, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)
