"""Out of memory -> an error that names what to lower, with the planner's estimate of each choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.planner.network import Shape, held_by, memory_per_gpu
from tonsai_pipeline.recipe.train import TrainConfig

_CHUNK_TOKENS = 8192


def out_of_memory(
    section: TrainConfig,
    network: Shape,
    *,
    micro_rows: int,
    zero_stage: int,
    world_size: int,
    precision: str,
    lowered: int | None = None,
) -> TrainError:
    """Return the error.

    Args:
        section: The recipe's train section.
        network: Its sizes.
        micro_rows: Rows that one process took at a time.
        zero_stage: As it ran.
        world_size: Processes.
        precision: As it ran.
        lowered: Rows that the next start takes, where they were found by themselves: it may then succeed.
    """
    now: dict[str, Any] = {
        "zero_stage": zero_stage,
        "micro_batch_rows": micro_rows,
        "activation_checkpointing": section.activation_checkpointing,
        "loss_chunk_tokens": section.loss_chunk_tokens,
        "offload_optimizer": section.offload_optimizer,
        **held_by(section, network),
    }

    def gigabytes(change: Mapping[str, Any]) -> float:
        settings = {**now, **change}
        found = memory_per_gpu(network, world_size=world_size, precision=precision, **settings)
        return found.total / 1e9

    changes: list[dict[str, Any]] = []
    if micro_rows > 1:
        changes.append({"micro_batch_rows": micro_rows // 2})
    changes += [{"activation_checkpointing": True}, {"loss_chunk_tokens": _CHUNK_TOKENS}]
    is_muon = section.optimizer.name == "muon"
    if world_size > 1 and not is_muon:
        changes.append({"zero_stage": max(2, min(zero_stage + 1, 3))})
    if section.backend == "deepspeed" and not is_muon:
        changes.append({"offload_optimizer": True})
    before = gigabytes({})
    estimates = [(change, gigabytes(change)) for change in changes]
    advice = ", ".join(
        f"train.{name}: {str(value).lower()} ({size:.1f} GB)"
        for change, size in estimates
        if size < before
        for name, value in change.items()
    )
    if lowered is not None:
        advice = f"micro_batch_rows: auto takes {lowered} from now on; beyond that, {advice}"
    return TrainError(
        f"out of memory; estimated were {before:.1f} GB a process for tensors, beside what kernels and other programs "
        f"take. Lower it with: {advice or 'a smaller network, or shorter rows (packing.seq_len)'}. The run keeps its "
        "name and goes on from its last checkpoint",
        may_retry=lowered is not None,
    )
