"""A DeepSpeed JSON of a user's own -> its values, checked when the recipe is read.

What contradicts the recipe, and keys that DeepSpeed would ignore without a word, are found before any text is
packed. Batch sizes, optimizer and scheduler are the recipe's; a file made for another trainer may have them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

#: Keys that DeepSpeed 0.19 knows; it ignores every other one.
_TOP = frozenset(
    [
        "activation_checkpointing",
        "aio",
        "amp",
        "autotuning",
        "bf16",
        "bfloat16",
        "checkpoint",
        "comet",
        "comms_logger",
        "communication_data_type",
        "compile",
        "compression_training",
        "csv_monitor",
        "curriculum_learning",
        "data_efficiency",
        "data_types",
        "dataloader_drop_last",
        "disable_allgather",
        "dump_state",
        "eigenvalue",
        "elasticity",
        "flops_profiler",
        "fp16",
        "gradient_accumulation_steps",
        "gradient_allreduce_op",
        "gradient_clipping",
        "gradient_predivide_factor",
        "hybrid_engine",
        "memory_breakdown",
        "monitor_config",
        "nebula",
        "optimizer",
        "pipeline",
        "prescale_gradients",
        "progressive_layer_drop",
        "scheduler",
        "sparse_attention",
        "sparse_gradients",
        "seq_parallel_communication_data_type",
        "steps_per_print",
        "tensor_parallel",
        "tensorboard",
        "timers",
        "torch_autocast",
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "use_data_before_expert_parallelism",
        "wall_clock_breakdown",
        "wandb",
        "zero_allow_untested_optimizer",
        "zero_force_ds_cpu_optimizer",
        "zero_optimization",
    ]
)
_SECTIONS = {
    "zero_optimization": frozenset(
        [
            "allgather_bucket_size",
            "allgather_partitions",
            "allgather_sequential",
            "compute_grad_norm",
            "contiguous_gradients",
            "cpu_offload",
            "cpu_offload_param",
            "cpu_offload_use_pin_memory",
            "elastic_checkpoint",
            "enable_sanity_checks",
            "gather_16bit_weights_on_model_save",
            "ignore_unused_parameters",
            "leaf_module",
            "legacy_stage1",
            "load_from_fp32_weights",
            "log_trace_cache_warnings",
            "max_live_parameters",
            "max_reuse_distance",
            "memory_efficient_linear",
            "model_persistence_threshold",
            "module_granularity_threshold",
            "offload_optimizer",
            "offload_param",
            "overlap_comm",
            "override_module_apply",
            "param_persistence_threshold",
            "parameter_alignment",
            "pipeline_loading_checkpoint",
            "prefetch_bucket_size",
            "reduce_bucket_size",
            "reduce_scatter",
            "round_robin_gradients",
            "save_muon_momentum_buffer_in_memory",
            "stage",
            "stage3_gather_16bit_weights_on_model_save",
            "stage3_gather_fp16_weights_on_model_save",
            "stage3_max_live_parameters",
            "stage3_max_reuse_distance",
            "stage3_model_persistence_threshold",
            "stage3_param_persistence_threshold",
            "stage3_prefetch_bucket_size",
            "stage3_use_all_reduce_for_fetch_params",
            "stage3_module_granularity_threshold",
            "sub_group_size",
            "use_all_reduce_for_fetch_params",
            "use_multi_rank_bucket_allreduce",
            "zenflow",
            "zero_hpz_partition_size",
            "zero_quantized_gradients",
            "zero_quantized_nontrainable_weights",
            "zero_quantized_weights",
        ]
    ),
    "fp16": frozenset(
        [
            "auto_cast",
            "consecutive_hysteresis",
            "enabled",
            "fp16_master_weights_and_grads",
            "hysteresis",
            "initial_scale_power",
            "loss_scale",
            "loss_scale_window",
            "min_loss_scale",
        ]
    ),
    "bf16": frozenset(
        [
            "bf16_master_weights_and_grads",
            "bf16_optimizer_states",
            "check_grad_overflow",
            "enabled",
            "immediate_grad_update",
        ]
    ),
}


def read_deepspeed(path: Path) -> dict[str, Any]:
    """Read a user's file.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"deepspeed_config: {path}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"deepspeed_config: {path}: not a JSON object")  # noqa: TRY004  # pydantic's
    return cast("dict[str, Any]", found)


def check_deepspeed(users: Mapping[str, Any], precision: str) -> None:
    """Refuse what DeepSpeed would ignore, and what contradicts the recipe.

    Args:
        users: The file's content.
        precision: `train.precision`.

    Raises:
        ValueError: With the key, and what to write instead.

    Example:
        >>> check_deepspeed({"zero_optimisation": {"stage": 2}}, "auto")
        Traceback (most recent call last):
        ValueError: deepspeed_config: zero_optimisation: DeepSpeed knows no such key; did you mean zero_optimization?
    """
    _refuse_unknown(users, _TOP, "")
    for name, known in _SECTIONS.items():
        section = users.get(name, {})
        if not isinstance(section, Mapping):
            raise ValueError(f"deepspeed_config: {name}: {section!r} is not an object")  # noqa: TRY004
        _refuse_unknown(section, known, f"{name}.")
    for name in ("bf16", "fp16"):
        wanted = _is_enabled(users, name)
        if wanted and precision not in ("auto", name):
            raise ValueError(
                f"deepspeed_config: {name}.enabled contradicts train.precision: {precision}"
            )
    # With `auto` a file that turns bf16 off and fp16 on says enough.
    is_open = precision == "bf16" or (precision == "auto" and not _is_enabled(users, "fp16"))
    if is_open and _is_enabled(users, "bf16") is False:
        raise ValueError(
            f"deepspeed_config: bf16.enabled: false contradicts train.precision: {precision}; the recipe decides: "
            "set train.precision: fp32 or fp16"
        )
    if _is_enabled(users, "bf16") and _is_enabled(users, "fp16"):
        raise ValueError("deepspeed_config: bf16 and fp16 are both enabled; take one")
    if stage_of(users) == 0 and precision != "fp32":
        raise ValueError(
            "deepspeed_config: zero_optimization.stage 0 has no fp32 masters for half precision; "
            "take stage 1, or train.precision: fp32"
        )
    zero = users.get("zero_optimization", {})
    if zero.get("offload_optimizer", {}).get("device") == "cpu" and stage_of(users) == 1:
        raise ValueError(
            "deepspeed_config: zero_optimization.offload_optimizer: DeepSpeed ignores it with stage 1 and bf16; "
            "take stage 2"
        )
    for name in ("offload_optimizer", "offload_param"):
        device = zero.get(name, {}).get("device", "none")
        if device not in ("none", "cpu", "auto"):
            raise ValueError(
                f"deepspeed_config: zero_optimization.{name}.device {device}: checkpoints cannot be made from "
                "there; take cpu"
            )


def stage_of(users: Mapping[str, Any]) -> int | None:
    """Return the ZeRO stage of a user's file; None where it leaves that to the recipe."""
    stage = users.get("zero_optimization", {}).get("stage", "auto")
    return None if stage == "auto" else int(stage)


def wants_fp16(path: Path | None) -> bool:
    """Whether a user's file turns fp16 on."""
    return path is not None and _is_enabled(read_deepspeed(path), "fp16") is True


def batch_sizes(users: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Return rows of a step, rows at a time, and micro batches of a step; None where the file has no number."""
    names = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    rows, micro, accum = (users.get(name) for name in names)
    return (
        rows if isinstance(rows, int) else None,
        micro if isinstance(micro, int) else None,
        accum if isinstance(accum, int) else None,
    )


def _is_enabled(users: Mapping[str, Any], name: str) -> bool | None:
    enabled = users.get(name, {}).get("enabled", "auto")
    return None if enabled == "auto" else bool(enabled)


def _refuse_unknown(users: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    for key in users:
        if key not in known and not key.startswith("_"):
            near = difflib.get_close_matches(key, known, 1)
            advice = f"; did you mean {place}{near[0]}?" if near else ""
            raise ValueError(f"deepspeed_config: {place}{key}: DeepSpeed knows no such key{advice}")
