"""Sizes of a network -> parameters, floating-point operations, memory and hours, before anything is bought.

    ModelConfig + vocab_size + seq_len ──shape_of──▶ Shape ──▶ num_parameters, flops_per_token, memory, hours

Knows no torch, so that `tonsai plan` answers at once. Counts are exact and tested against the real networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json

#: Dense bf16 operations per second, from the makers' data sheets (fp16 for the T4, which has no bf16). Longer
#: names stand before shorter ones that they contain.
PEAK_FLOPS: dict[str, float] = {
    "B200": 2250e12,
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "T4": 65e12,
    "RTX 4090": 165.2e12,
    "RTX 3090": 71e12,
}


@dataclass(frozen=True)
class Shape:
    """The sizes that counts follow from.

    Args:
        family: "gpt2" (biases, learned positions, two feed-forward matrices) or "llama" (none, RoPE, three);
            "qwen3" is llama with norms on queries and keys.
        head_dim: Width of one head.
        tied: Whether the output layer shares the embedding.
    """

    family: Literal["gpt2", "llama", "qwen3"]
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    seq_len: int
    tied: bool


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one GPU.

    Args:
        parameters: The copy that computes.
        gradients: In the precision they are summed in.
        optimizer: fp32 masters and the two AdamW moments.
        activations: Kept for the backward pass.
        logits: The output layer's peak.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """Sum, without the framework's own 1 to 2 GB."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.logits


def shape_of(section: ModelConfig, *, vocab_size: int, seq_len: int) -> Shape:
    """Read the sizes of a network from its recipe section.

    Args:
        section: From sizes, from a config file, or from a local base model.
        vocab_size: Rows of the embedding.
        seq_len: Tokens in a row.

    Raises:
        RecipeError: The sizes are not at hand: a base model on the Hub, or an unknown family.

    Example:
        >>> kit = ModelConfig(num_layers=24, hidden_size=1536, num_heads=24)
        >>> num_parameters(shape_of(kit, vocab_size=50_000, seq_len=2048))
        759905280
    """
    if section.from_sizes:
        width = section.hidden_size
        default = 4 * width if section.architecture == "gpt2" else -(-8 * width // (3 * 64)) * 64
        return Shape(
            family=section.architecture,
            num_layers=section.num_layers,
            hidden_size=width,
            num_heads=section.num_heads,
            num_kv_heads=section.num_kv_heads or section.num_heads,
            head_dim=width // section.num_heads,
            intermediate_size=section.intermediate_size or default,
            vocab_size=vocab_size,
            seq_len=seq_len,
            tied=section.tie_embeddings,
        )
    path = section.config_file or Path(str(section.base)) / "config.json"
    if not path.is_file():
        raise RecipeError(
            f"model: {path}: no such file; sizes of a Hub model are known after its download"
        )
    return _shape_from_json(path, cast("dict[str, Any]", read_json(path)), vocab_size, seq_len)


def num_parameters(shape: Shape) -> int:
    """Count every parameter; a tied output layer is counted once."""
    width, vocab = shape.hidden_size, shape.vocab_size
    embeddings = vocab * width * (1 if shape.tied else 2)
    if shape.family == "gpt2":
        # Two norms, attention in and out, feed-forward in and out, all with biases.
        inner = shape.intermediate_size
        block = 4 * width * width + 2 * width * inner + inner + 9 * width
        return shape.num_layers * block + 2 * width + embeddings + shape.seq_len * width
    query_key_norms = 2 * shape.head_dim if shape.family == "qwen3" else 0
    block = (
        _attention_weights(shape)
        + 3 * width * shape.intermediate_size
        + 2 * width
        + query_key_norms
    )
    return shape.num_layers * block + width + embeddings


def flops_per_token(shape: Shape, *, causal: bool = False) -> float:
    """Return operations per trained token, forward and backward.

    Args:
        shape: The network.
        causal: Count only the half of attention that is looked at. The usual figure, and ours for MFU,
            counts all of it.

    Source:
        Chowdhery et al. 2022, "PaLM", arXiv:2204.02311, appendix B: 6 N + 12 L H Q T, N the weights that
        take part in matrix products, the output layer included.
    """
    matrices = 2 if shape.family == "gpt2" else 3
    block = _attention_weights(shape) + matrices * shape.hidden_size * shape.intermediate_size
    weights = shape.num_layers * block + shape.vocab_size * shape.hidden_size
    attention = 12 * shape.num_layers * shape.num_heads * shape.head_dim * shape.seq_len
    return 6.0 * weights + attention * (0.5 if causal else 1.0)


def memory_per_gpu(
    shape: Shape,
    *,
    zero_stage: int,
    world_size: int,
    micro_batch_rows: int,
    bf16: bool = True,
    activation_checkpointing: bool = False,
    loss_chunk_tokens: int = 0,
) -> MemoryEstimate:
    """Estimate the memory of training on one GPU.

    Args:
        shape: The network.
        zero_stage: 0..3, what is divided among `world_size` GPUs.
        world_size: GPUs.
        micro_batch_rows: Rows at a time.
        bf16: Whether activations and weights are bf16 with fp32 masters; else all is fp32.
        activation_checkpointing: Whether only the input of each block is kept.
        loss_chunk_tokens: Tokens whose logits exist at a time; 0: the whole micro batch.

    Returns:
        Bytes. States are exact; activations are an estimate (34 bytes per token, layer and unit of width in
        half precision with a fused attention), good to about 20 %.

    Source:
        Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054, section 3 (states); Korthikanti et al. 2022,
        arXiv:2205.05198, equation 2 (activations).
    """
    count = num_parameters(shape)

    def divided(num_bytes: float, from_stage: int) -> int:
        return int(num_bytes / world_size) if zero_stage >= from_stage else int(num_bytes)

    tokens = micro_batch_rows * shape.seq_len
    per_unit = 2 if activation_checkpointing else 34
    wide = 1 if bf16 else 2
    at_once = min(loss_chunk_tokens or tokens, tokens)
    return MemoryEstimate(
        parameters=divided(count * 2 * wide, 3),
        gradients=divided(count * 4, 2),
        optimizer=divided(count * (12 if bf16 else 8), 1),
        activations=tokens * shape.num_layers * shape.hidden_size * per_unit * wide,
        # fp32 logits, their gradient, and the copy in the precision of the network.
        logits=at_once * shape.vocab_size * (8 + 2 * wide),
    )


def hours(
    total_tokens: int, shape: Shape, *, num_gpus: int, peak_flops: float, mfu: float
) -> float:
    """Return the hours of a run.

    Args:
        total_tokens: Tokens to train on.
        shape: The network.
        num_gpus: GPUs.
        peak_flops: Operations per second that one GPU promises, see `PEAK_FLOPS`.
        mfu: Fraction of that promise that is kept, 0..1; 0.35 to 0.5 is usual on an H100.

    Raises:
        ValueError: `mfu` outside 0..1.

    Example:
        >>> kit = shape_of(
        ...     ModelConfig(num_layers=24, hidden_size=1536, num_heads=24),
        ...     vocab_size=50_000,
        ...     seq_len=2048,
        ... )
        >>> round(hours(15_200_000_000, kit, num_gpus=8, peak_flops=989.4e12, mfu=0.4), 1)
        7.3
    """
    if not 0.0 < mfu <= 1.0:
        raise ValueError(f"mfu {mfu} is not a fraction above 0 and up to 1")
    return total_tokens * flops_per_token(shape) / (num_gpus * peak_flops * mfu) / 3600


def tokens_per_s(shape: Shape, *, num_gpus: int, peak_flops: float, mfu: float) -> float:
    """Return the speed that `hours` assumes."""
    return num_gpus * peak_flops * mfu / flops_per_token(shape)


def peak_flops_of(device_name: str) -> float | None:
    """Return what a GPU promises, by the name its driver gives; None for an unknown one or a CPU."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name in device_name), None)


def _attention_weights(shape: Shape) -> int:
    """Weights of the four projections of one block, without biases."""
    heads = 2 * shape.num_heads + 2 * shape.num_kv_heads
    return shape.hidden_size * shape.head_dim * heads


def _shape_from_json(path: Path, config: dict[str, Any], vocab_size: int, seq_len: int) -> Shape:
    family = config.get("model_type")
    try:
        if family == "gpt2":
            width, heads = config["n_embd"], config["n_head"]
            return Shape(
                family="gpt2",
                num_layers=config["n_layer"],
                hidden_size=width,
                num_heads=heads,
                num_kv_heads=heads,
                head_dim=width // heads,
                intermediate_size=config.get("n_inner") or 4 * width,
                vocab_size=vocab_size,
                seq_len=config["n_positions"],
                tied=config.get("tie_word_embeddings", True),
            )
        if family in ("llama", "qwen3"):
            width, heads = config["hidden_size"], config["num_attention_heads"]
            return Shape(
                family=cast("Literal['llama', 'qwen3']", family),
                num_layers=config["num_hidden_layers"],
                hidden_size=width,
                num_heads=heads,
                num_kv_heads=config.get("num_key_value_heads", heads),
                head_dim=config.get("head_dim") or width // heads,
                intermediate_size=config["intermediate_size"],
                vocab_size=vocab_size,
                seq_len=seq_len,
                tied=config.get("tie_word_embeddings", False),
            )
    except KeyError as error:
        raise RecipeError(f"{path}: a {family} config without {error}") from error
    raise RecipeError(f"{path}: cannot count a {family!r} network; known: gpt2, llama, qwen3")
