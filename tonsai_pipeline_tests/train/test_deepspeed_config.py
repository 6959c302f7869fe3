"""DeepSpeed gets what the recipe says; a user's file adds to it but cannot contradict it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tonsai_pipeline.recipe.deepspeed_file import wants_fp16
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.backends.deepspeed_config import deepspeed_settings, merge_settings
from tonsai_pipeline.train.loop.batch_plan import make_plan


def ours(*, bf16: bool = True, **train):
    section = TrainConfig(global_batch_tokens=16 * 64, micro_batch_rows=4, **train)
    plan = make_plan(section, num_rows=64, seq_len=64, world_size=2)
    return deepspeed_settings(section, plan, precision="bf16" if bf16 else "fp32", on_gpu=False)


def test_batch_sizes_follow_the_plan() -> None:
    found = ours(zero_stage=2)
    assert found["train_micro_batch_size_per_gpu"] == 4
    assert found["gradient_accumulation_steps"] == 2
    assert found["zero_optimization"]["stage"] == 2


def test_gradients_are_summed_in_fp32_under_bf16() -> None:
    assert ours()["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "data_types" not in ours(bf16=False)


def test_bf16_without_zero_becomes_stage_1() -> None:
    assert ours(zero_stage=0)["zero_optimization"]["stage"] == 1
    assert ours(zero_stage=0, bf16=False)["zero_optimization"]["stage"] == 0


def test_the_starter_kits_file_keeps_its_zero_settings_and_loses_its_scheduler() -> None:
    users = {
        "bf16": {"enabled": True},
        "train_micro_batch_size_per_gpu": "auto",
        "optimizer": {"type": "AdamW", "params": {"lr": "auto"}},
        "scheduler": {"type": "WarmupLR"},
        "zero_optimization": {"stage": 2, "reduce_scatter": True, "overlap_comm": "auto"},
        "gradient_clipping": 0.5,
    }
    merged, ignored = merge_settings(ours(), users)
    assert ignored == ["train_micro_batch_size_per_gpu", "optimizer", "scheduler"]
    assert merged["zero_optimization"] == {
        "stage": 2,
        "overlap_comm": False,
        "contiguous_gradients": True,
        "reduce_scatter": True,
    }
    assert merged["gradient_clipping"] == 0.5
    assert merged["train_micro_batch_size_per_gpu"] == 4
    assert "scheduler" not in merged


def test_offloading_divides_the_gradients_too() -> None:
    users = {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}
    merged, _ = merge_settings({"zero_optimization": {"stage": 1}}, users)
    assert merged["zero_optimization"]["stage"] == 2


@pytest.mark.parametrize(
    ("users", "precision", "message"),
    [
        ({"zero_optimization": {"stage": 0}}, "bf16", "stage 0 has no fp32 masters"),
        ({"zero_optimization": {"stage": 0}}, "auto", "stage 0 has no fp32 masters"),
        ({"bf16": {"enabled": False}}, "bf16", "contradicts train.precision: bf16"),
        ({"bf16": {"enabled": False}}, "auto", "set train.precision: fp32 or fp16"),
        ({"bf16": {"enabled": True}}, "fp16", "bf16.enabled contradicts"),
        ({"bf16": {"enabled": True}, "fp16": {"enabled": True}}, "auto", "both enabled"),
        ({"zero_optimisation": {}}, "auto", "did you mean zero_optimization?"),
        ({"zero_optimization": {"stge": 2}}, "auto", "did you mean zero_optimization.stage?"),
        ({"fp16": {"enable": True}}, "auto", "did you mean fp16.enabled?"),
        ({"bf16": True}, "auto", "bf16: True is not an object"),
        (
            {"zero_optimization": {"stage": 1, "offload_optimizer": {"device": "cpu"}}},
            "bf16",
            "take stage 2",
        ),
        (
            {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "nvme"}}},
            "bf16",
            "nvme",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_when_the_recipe_is_read(
    tmp_path: Path, users: dict[str, Any], precision: str, message: str
) -> None:
    path = tmp_path / "deepspeed.json"
    path.write_text(json.dumps(users))
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate({"deepspeed_config": str(path), "precision": precision})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("users", "precision"),
    [
        ({"bf16": {"enabled": "auto"}, "zero_optimization": {"stage": 2}}, "auto"),
        ({"fp16": {"enabled": True}, "bf16": {"enabled": False}}, "auto"),
        ({"zero_optimization": {"stage": 0}}, "fp32"),
        ({"train_batch_size": "auto", "scheduler": {"type": "WarmupLR"}}, "auto"),
    ],
)
def test_a_file_that_agrees_is_taken(tmp_path: Path, users: dict[str, Any], precision: str) -> None:
    path = tmp_path / "deepspeed.json"
    path.write_text(json.dumps(users))
    TrainConfig.model_validate({"deepspeed_config": str(path), "precision": precision})
    assert wants_fp16(path) is (users.get("fp16") == {"enabled": True})
