"""Recipe -> DeepSpeed settings; pure. A user's own JSON is merged over ours.

    TrainConfig + BatchPlan ──▶ {"zero_optimization": ..., "bf16": ...} ◀── the user's file

Batch sizes, optimizer and schedule are the recipe's; everything else may be overridden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.loop.batch_plan import BatchPlan

#: Decided by the recipe: two schedulers or two batch sizes would contradict each other.
_OURS = (
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "optimizer",
    "scheduler",
)

#: DeepSpeed's optimizer of stage 1 in bf16 leaves its states on the GPU, whatever is asked.
_OFFLOAD_STAGE = 2


def deepspeed_settings(
    section: TrainConfig, plan: BatchPlan, *, precision: str, on_gpu: bool
) -> dict[str, Any]:
    """Return the settings for `deepspeed.initialize`.

    Args:
        section: ZeRO stage and clipping.
        plan: Batch sizes.
        precision: "bf16", "fp16" or "fp32". In half precision, gradients are summed over micro batches in fp32:
            short sums lose the small ones. DeepSpeed can do that from ZeRO 1 on, so stage 0 becomes 1.
        on_gpu: Whether communication can overlap with computing.
    """
    is_half = precision != "fp32"
    stage = max(1, section.zero_stage) if is_half else section.zero_stage
    if section.optimizer.name == "muon" and not is_half:
        # Divided, gradients would be clipped after Muon made its update of them: the recipe's ZeRO 1 is meant for bf16.
        stage = 0
    stage = max(_OFFLOAD_STAGE, stage) if section.offload_optimizer else stage
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": plan.micro_rows,
        "gradient_accumulation_steps": plan.grad_accum_steps,
        "gradient_clipping": section.optimizer.grad_clip,
        "zero_optimization": {
            "stage": stage,
            "overlap_comm": on_gpu,
            "contiguous_gradients": True,
        },
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {"enabled": precision == "fp16"},
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }
    if is_half:
        settings["data_types"] = {"grad_accum_dtype": "fp32"}
    if section.optimizer.name == "muon":
        # DeepSpeed's list of tested optimizers has classes of torch and its own only.
        settings["zero_allow_untested_optimizer"] = True
    if section.offload_optimizer:
        settings["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": on_gpu}
    # Torch's AdamW on the CPU: DeepSpeed's own must be compiled on the user's machine.
    settings["zero_force_ds_cpu_optimizer"] = False
    return settings


def merge_settings(
    ours: Mapping[str, Any], users: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Lay a user's settings over ours.

    Args:
        ours: From `deepspeed_settings`.
        users: The user's JSON; "auto" anywhere means: ours.

    Returns:
        The merged settings, and the user's keys that were ignored because the recipe decides them.

    Example:
        >>> merge_settings(
        ...     {"bf16": {"enabled": True}}, {"bf16": {"enabled": "auto"}, "scheduler": {}}
        ... )
        ({'bf16': {'enabled': True}}, ['scheduler'])
    """
    ignored = [key for key in users if key in _OURS]
    merged = _merge(ours, {key: value for key, value in users.items() if key not in _OURS})
    zero = merged.get("zero_optimization", {})
    if zero.get("offload_optimizer", {}).get("device", "none") != "none":
        zero["stage"] = max(_OFFLOAD_STAGE, zero["stage"])
    return merged, ignored


def _merge(ours: Mapping[str, Any], users: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in users.items():
        if isinstance(value, Mapping):
            mine = ours.get(key)
            merged[key] = _merge(mine if isinstance(mine, Mapping) else {}, value)
        elif value != "auto":
            merged[key] = value
    return merged
