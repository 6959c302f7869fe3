"""Sizes of a network -> parameters, floating-point operations, memory and hours, before anything is bought.

    ModelConfig + vocab_size + seq_len ──shape_of──▶ Shape ──▶ flops_per_token, memory_per_gpu, hours

Knows no torch, so that `tonsai plan` answers at once for networks built from sizes; `model/size.py` counts all others
on torch's meta device. Counts are exact and tested against the real networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig


@dataclass(frozen=True)
class Shape:
    """The sizes that costs follow from.

    Args:
        family: Hugging Face's name, for example "gpt2".
        num_layers: Blocks.
        hidden_size: Width of the residual stream.
        num_heads: Attention heads of a block.
        vocab_size: Rows of the embedding.
        seq_len: Tokens of a row.
        num_parameters: All of them; a tied output layer is counted once.
        active_weights: Weights that take part in matrix products with a token, the output layer included; of
            experts, those that a token meets.
        attention_width: Sum over blocks of heads x head width x the part of the row that a window lets it see.
    """

    family: str
    num_layers: int
    hidden_size: int
    num_heads: int
    vocab_size: int
    seq_len: int
    num_parameters: int
    active_weights: float
    attention_width: float


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one GPU.

    Args:
        parameters: The copy that computes.
        gradients: As computed, and as summed over micro batches.
        optimizer: fp32 masters, the two AdamW moments, and the mean of the weights where one is kept.
        activations: Kept for the backward pass.
        logits: The output layer's peak.
        teachers: Networks that only teach.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    teachers: int = 0

    @property
    def total(self) -> int:
        """Sum, without the framework's own 1 to 2 GB."""
        states = self.parameters + self.gradients + self.optimizer + self.teachers
        return states + self.activations + self.logits


def shape_of(section: ModelConfig, *, vocab_size: int, seq_len: int) -> Shape:
    """Count a network that is built from sizes.

    Args:
        section: With `from_sizes`.
        vocab_size: Rows of the embedding.
        seq_len: Tokens in a row.

    Raises:
        RecipeError: The network comes from a config file or a base model: `model.size.measure_shape` counts it.

    Example:
        >>> kit = ModelConfig(num_layers=24, hidden_size=1536, num_heads=24)
        >>> shape_of(kit, vocab_size=50_000, seq_len=2048).num_parameters
        759905280
    """
    if not section.from_sizes:
        raise RecipeError("model: only a network built from sizes is counted without building it")
    family, width, layers = section.architecture, section.hidden_size, section.num_layers
    is_gpt2 = family == "gpt2"
    default = 4 * width if is_gpt2 else -(-8 * width // (3 * 64)) * 64
    inner = section.intermediate_size or default
    head_dim = width // section.num_heads
    heads = 2 * section.num_heads + 2 * (section.num_kv_heads or section.num_heads)
    weights = width * head_dim * heads + (2 if is_gpt2 else 3) * width * inner
    # Two norms, and biases (gpt2) or norms of queries and keys (qwen3).
    extra = inner + 9 * width if is_gpt2 else 2 * width + (2 * head_dim if family == "qwen3" else 0)
    outside = 2 * width + seq_len * width if is_gpt2 else width
    embeddings = vocab_size * width * (1 if section.tie_embeddings else 2)
    return Shape(
        family=family,
        num_layers=layers,
        hidden_size=width,
        num_heads=section.num_heads,
        vocab_size=vocab_size,
        seq_len=seq_len,
        num_parameters=layers * (weights + extra) + outside + embeddings,
        active_weights=layers * weights + vocab_size * width,
        attention_width=layers * section.num_heads * head_dim,
    )


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
    attention = 12 * shape.attention_width * shape.seq_len
    return 6.0 * shape.active_weights + attention * (0.5 if causal else 1.0)


def state_bytes(shape: Shape, *, with_average: bool = False, with_muon: bool = False) -> int:
    """Return the bytes of fp32 weights and optimizer states, which is what a checkpoint holds.

    Args:
        shape: The network.
        with_average: Whether the mean of the weights is kept beside them.
        with_muon: Whether matrices have one running mean, not two.
    """
    matrices = int(shape.active_weights) - shape.vocab_size * shape.hidden_size
    means = 8 * shape.num_parameters - (4 * matrices if with_muon else 0)
    return means + (8 if with_average else 4) * shape.num_parameters


def states_of(section: TrainConfig) -> dict[str, bool]:
    """Return what a checkpoint keeps, as arguments of `state_bytes`."""
    return {
        "with_average": section.average_frac is not None,
        "with_muon": section.optimizer.name == "muon",
    }


def held_by(section: TrainConfig, shape: Shape) -> dict[str, Any]:
    """Return what a run of a network holds, states and teachers, as arguments of `memory_per_gpu`."""
    return {**states_of(section), "teacher_parameters": teachers_of(section, shape)}


def teachers_of(section: TrainConfig, shape: Shape) -> int:
    """Return the parameters of all teachers of a run: those trained first are of its own shape.

    Args:
        section: Its settings.
        shape: The network that is taught.
    """
    named = sum(map(_count_saved, section.teacher.models))
    return named + section.teacher.num_seeds * shape.num_parameters


def _count_saved(folder: Path) -> int:
    """Count the parameters of a saved model by the heads of its files; 0 for what is not there (yet)."""
    # Here and not above: the graph and `tonsai init` load this module, and do without what training needs.
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "np") as saved:
            total += sum(math.prod(saved.get_slice(name).get_shape()) for name in saved.keys())  # noqa: SIM118
    return total


def memory_per_gpu(
    shape: Shape,
    *,
    zero_stage: int,
    world_size: int,
    micro_batch_rows: int,
    precision: str = "bf16",
    activation_checkpointing: bool = False,
    loss_chunk_tokens: int = 0,
    offload_optimizer: bool = False,
    with_average: bool = False,
    with_muon: bool = False,
    teacher_parameters: int = 0,
) -> MemoryEstimate:
    """Estimate the memory of training with DeepSpeed on one GPU.

    Args:
        shape: The network.
        zero_stage: 0..3, what is divided among `world_size` GPUs; half precision has at least stage 1.
        world_size: GPUs.
        micro_batch_rows: Rows at a time.
        precision: "bf16", "fp16" or "fp32".
        activation_checkpointing: Whether only the input of each block is kept.
        loss_chunk_tokens: Tokens whose logits exist at a time; 0: the whole micro batch.
        offload_optimizer: Whether optimizer states are in the host's memory.
        with_average: Whether the mean of the weights is kept beside them.
        with_muon: Whether matrices have one running mean, not two.
        teacher_parameters: Of all teachers together, each of which every GPU has whole.

    Returns:
        Bytes. States are exact: counted in a DeepSpeed 0.19.8 of one process before its update, 20 bytes a parameter
        in bf16 with ZeRO 1, 18 with ZeRO 2, 16 in fp32 with 0 and 20 with 1. Activations are an estimate (34 bytes
        per token, layer and unit of width in half precision with a fused attention), good to about 20 %.

    Source:
        Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054, section 3 (states); Korthikanti et al. 2022,
        arXiv:2205.05198, equation 2 (activations).
    """
    is_half = precision != "fp32"
    stage = max(1, zero_stage) if is_half else zero_stage
    stage = max(2, stage) if offload_optimizer else stage

    def divided(whole: int, from_stage: int) -> int:
        return int(whole / world_size) if stage >= from_stage else whole

    # In bf16 with ZeRO 1, gradients as they are computed stand beside their fp32 sums.
    gradient_bytes = 6 if precision == "bf16" and stage == 1 else 4
    # Without ZeRO the fp32 weights are their own masters.
    own = 0 if stage else 4 * shape.num_parameters
    states = state_bytes(shape, with_average=with_average, with_muon=with_muon)
    optimizer = divided(states - own, 1)
    tokens = micro_batch_rows * shape.seq_len
    per_unit = 2 if activation_checkpointing else 34
    wide = 1 if is_half else 2
    at_once = min(loss_chunk_tokens or tokens, tokens)
    return MemoryEstimate(
        parameters=divided(2 * wide * shape.num_parameters, 3),
        gradients=divided(gradient_bytes * shape.num_parameters, 2),
        optimizer=0 if offload_optimizer else optimizer,
        activations=tokens * shape.num_layers * shape.hidden_size * per_unit * wide,
        # fp32 logits, their gradient, and the copy in the precision of the network; of teachers, what they and theirs say.
        logits=at_once * shape.vocab_size * (8 + 2 * wide + (8 if teacher_parameters else 0)),
        teachers=2 * wide * teacher_parameters,
    )


def hours(
    total_tokens: int, shape: Shape, *, num_gpus: int, peak_flops: float, mfu: float
) -> float:
    """Return the hours of a run.

    Args:
        total_tokens: Tokens to train on.
        shape: The network.
        num_gpus: GPUs.
        peak_flops: Operations per second that one GPU promises, see `hardware.GPUS`.
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
