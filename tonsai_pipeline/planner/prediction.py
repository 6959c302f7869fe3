"""What `tonsai plan` says of a run, beside what the run measured.

    status.json ──Shape──▶ predicted        metrics.jsonl, status.json ──▶ measured        both, by name

Knows no torch: the asset and the command line read files.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tonsai_pipeline.planner.network import (
    Shape,
    flops_per_token,
    held_by,
    memory_per_gpu,
    tokens_per_s,
)
from tonsai_pipeline.recipe.train import TrainConfig

#: What `tonsai plan` assumes unless a person says otherwise.
DEFAULT_MFU = 0.4
#: Records at the start of a run that are not measured: kernels are compiled and chosen then.
_NUM_WARM_UP = 2


def compare(
    train: TrainConfig, status: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Put prediction and measurement side by side.

    Args:
        train: The recipe's section.
        status: The run's status.json; its `network` is what the job counted.
        records: The run's metrics.jsonl.

    Returns:
        `plan_parameters`, `plan_memory_gb`, and, where the device's promise is known, `plan_tokens_per_s` at
        `DEFAULT_MFU`; `run_parameters`, `run_tokens_per_s` (the median of the records), `run_tflops` (per process),
        and, on a GPU, `run_mfu` and `run_memory_gb`.
    """
    shape = Shape(**status["network"])
    return {**_plan(shape, train, status), **_run(shape, status, records)}


def _plan(shape: Shape, train: TrainConfig, status: Mapping[str, Any]) -> dict[str, float]:
    memory = memory_per_gpu(
        shape,
        zero_stage=status["zero_stage"],
        world_size=status["world_size"],
        micro_batch_rows=status["micro_batch_rows"],
        precision=status["precision"],
        activation_checkpointing=train.activation_checkpointing,
        loss_chunk_tokens=train.loss_chunk_tokens,
        offload_optimizer=train.offload_optimizer,
        **held_by(train, shape),
    )
    found: dict[str, float] = {
        "plan_parameters": shape.num_parameters,
        "plan_memory_gb": round(memory.total / 1e9, 3),
    }
    peak = status.get("peak_flops")
    if peak is not None:
        found["plan_tokens_per_s"] = round(
            tokens_per_s(shape, num_gpus=status["world_size"], peak_flops=peak, mfu=DEFAULT_MFU)
        )
    return found


def _run(
    shape: Shape, status: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    trained = [record for record in records if record["kind"] == "train"]
    measured = trained[_NUM_WARM_UP:] or trained
    found: dict[str, float] = {"run_parameters": status["num_parameters"]}
    if not measured:
        return found
    speed = statistics.median(record["tokens_per_s"] for record in measured)
    found["run_tokens_per_s"] = round(speed, 1)
    found["run_tflops"] = speed * flops_per_token(shape) / status["world_size"] / 1e12
    for name, key in (("run_mfu", "mfu"), ("run_memory_gb", "peak_memory_gb")):
        values = [record[key] for record in measured if key in record]
        if values:
            found[name] = statistics.median(values)
    return found
