"""Machines that people train on -> what a recipe needs there: rows at a time, ZeRO stage, memory savers.

    Preset + Shape ──fit──▶ Settings that fit its memory, or nothing

Knows no torch, so that `tonsai plan` answers at once. Memory is estimated (`network.memory_per_gpu`), MFU assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

from tonsai_pipeline.planner.hardware import GPUS
from tonsai_pipeline.planner.network import (
    MemoryEstimate,
    Shape,
    held_by,
    memory_per_gpu,
)
from tonsai_pipeline.recipe.train import TrainConfig, known

#: Left to the framework, its kernels and fragments of memory: ours, not measured.
_RESERVED_BYTES, _USABLE_FRAC = 2e9, 0.92
#: Half of a computer's memory is left to what else runs there.
_USABLE_FRAC_OF_CPU = 0.5
_MICRO_ROWS = (32, 16, 8, 4, 2, 1)
#: Tokens whose logits are held at a time where all are too many.
_CHUNK_TOKENS = 8192


@dataclass(frozen=True)
class Preset:
    """A machine.

    Args:
        gpu: As `hardware.GPUS` knows it.
        num_gpus: GPUs.
        memory_gb: Of one GPU, in 10^9 bytes, as its driver shows it.
        has_bf16: Whether it computes bf16; else runs are fp32.
        mfu: Assumed fraction of it.
    """

    gpu: str
    num_gpus: int
    memory_gb: float
    has_bf16: bool = True
    mfu: float = 0.4

    @property
    def precision(self) -> str:
        """In which runs compute there."""
        return "bf16" if self.has_bf16 else "fp32"

    @property
    def peak_flops(self) -> float:
        """Operations per second that one GPU promises in that precision."""
        found = GPUS[self.gpu]
        return found.half if self.has_bf16 else found.single


#: By the name that `tonsai plan --preset` takes. The T4 has no bf16; fp16 is there for who asks for it.
PRESETS: dict[str, Preset] = {
    "h100": Preset("H100", 1, 85.0),
    "h200": Preset("H200", 1, 150.0),
    "8xh100": Preset("H100", 8, 85.0),
    "8xh200": Preset("H200", 8, 150.0),
    "8xa100": Preset("A100", 8, 85.0),
    "colab-t4": Preset("T4", 1, 15.8, has_bf16=False),
    "colab-l4": Preset("L4", 1, 24.0),
    "colab-a100": Preset("A100", 1, 42.3),
}


@dataclass(frozen=True)
class Settings:
    """What to write into the recipe's `train` section.

    Args:
        memory: What it is estimated to take on one GPU.
    """

    micro_batch_rows: int
    zero_stage: int
    loss_chunk_tokens: int
    activation_checkpointing: bool
    precision: str
    memory: MemoryEstimate

    def as_yaml(self) -> str:
        """Return the lines of a recipe, one flow mapping.

        Example:
            >>> parts = MemoryEstimate(1, 1, 1, 1, 1)
            >>> Settings(8, 1, 0, False, "bf16", parts).as_yaml()
            '{micro_batch_rows: 8, zero_stage: 1, precision: bf16}'
        """
        pairs = {
            "micro_batch_rows": str(self.micro_batch_rows),
            "zero_stage": str(self.zero_stage),
            "precision": self.precision,
        }
        if self.loss_chunk_tokens:
            pairs["loss_chunk_tokens"] = str(self.loss_chunk_tokens)
        if self.activation_checkpointing:
            pairs["activation_checkpointing"] = "true"
        return "{" + ", ".join(f"{name}: {value}" for name, value in pairs.items()) + "}"


def fit(preset: Preset, shape: Shape, section: TrainConfig) -> Settings | None:
    """Choose what fits: first without memory savers, then with cheaper ones, then with all.

    Args:
        preset: The machine.
        shape: The network.
        section: Its global batch, a number; at most its share of rows is sent at a time.

    Returns:
        The most rows at a time that fit with the fewest savers; None if one row does not fit even with all.
    """
    batch_tokens = known(section.global_batch_tokens)
    own_rows = max(1, batch_tokens // (shape.seq_len * preset.num_gpus))
    # Dividing more costs messages between GPUs and helps only where there are several.
    stages = (max(1, section.zero_stage), 2, 3) if preset.num_gpus > 1 else (section.zero_stage,)
    available = usable_bytes(preset.memory_gb * 1e9, on_gpu=True)
    precision, held = preset.precision, held_by(section, shape)
    if section.optimizer.name == "muon":
        # It needs whole gradients, and no loss scale in them.
        precision, stages = ("bf16", (1,)) if precision == "bf16" else ("fp32", (0,))
    for recompute, chunk in ((False, 0), (False, _CHUNK_TOKENS), (True, _CHUNK_TOKENS)):
        for stage in stages:
            for rows in (rows for rows in _MICRO_ROWS if rows <= own_rows):
                memory = memory_per_gpu(
                    shape,
                    zero_stage=stage,
                    world_size=preset.num_gpus,
                    micro_batch_rows=rows,
                    precision=precision,
                    activation_checkpointing=recompute,
                    loss_chunk_tokens=chunk,
                    **held,
                )
                # Fewer than four rows keep a GPU waiting for its kernels; another saver is cheaper.
                if memory.total <= available and (rows >= min(4, own_rows) or recompute):
                    return Settings(rows, stage, chunk, recompute, precision, memory)
    return None


def usable_bytes(free_bytes: float, *, on_gpu: bool) -> float:
    """Return how much of a device's free memory the tensors of a run may take."""
    return (
        free_bytes * _USABLE_FRAC - _RESERVED_BYTES if on_gpu else free_bytes * _USABLE_FRAC_OF_CPU
    )
