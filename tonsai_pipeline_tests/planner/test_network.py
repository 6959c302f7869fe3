"""Counts are those of the real networks; operations and hours follow the published formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.build import num_parameters as real_count
from tonsai_pipeline.model.size import measure_shape, shape_of_network
from tonsai_pipeline.planner.hardware import peak_flops_of
from tonsai_pipeline.planner.network import (
    flops_per_token,
    hours,
    memory_per_gpu,
    shape_of,
    state_bytes,
    teachers_of,
)
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline_tests.model.families import GREEN, write_config

KIT = ModelConfig(num_layers=24, hidden_size=1536, num_heads=24)


@pytest.mark.parametrize(
    ("section", "vocab_size", "expected"),
    [
        (KIT, 50_000, 759_905_280),
        (KIT, 50_176, 760_175_616),
        (ModelConfig(num_layers=22, hidden_size=1280, num_heads=20), 50_048, 499_589_120),
    ],
)
def test_known_sizes_are_counted_exactly(
    section: ModelConfig, vocab_size: int, expected: int
) -> None:
    assert shape_of(section, vocab_size=vocab_size, seq_len=2048).num_parameters == expected


@pytest.mark.parametrize(
    "section",
    [
        ModelConfig(num_layers=3, hidden_size=96, num_heads=6, intermediate_size=200),
        ModelConfig(num_layers=2, hidden_size=64, num_heads=4, tie_embeddings=False),
        ModelConfig(
            architecture="llama", num_layers=3, hidden_size=96, num_heads=6, num_kv_heads=2
        ),
        ModelConfig(
            architecture="llama", num_layers=1, hidden_size=64, num_heads=4, tie_embeddings=False
        ),
        ModelConfig(
            architecture="qwen3", num_layers=2, hidden_size=96, num_heads=6, num_kv_heads=3
        ),
    ],
)
def test_counts_equal_those_of_the_built_network(section: ModelConfig) -> None:
    special = {"bos": 0, "eos": 1, "pad": 2}
    with torch.device("meta"):
        model = build_model(section, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    shape = shape_of(section, vocab_size=320, seq_len=64)
    assert shape.num_parameters == real_count(model)
    assert shape == shape_of_network(model, 64)


@pytest.mark.parametrize("family", GREEN)
def test_any_family_is_counted_from_its_config(tmp_path: Path, family: str) -> None:
    config = write_config(tmp_path, *GREEN[family])
    section = ModelConfig(config_file=config)
    special = {"bos": 0, "eos": 1, "pad": 2}
    built = build_model(section, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    shape = measure_shape(section, vocab_size=320, seq_len=64)
    assert shape.num_parameters == real_count(built)
    head = built.get_output_embeddings().weight
    dense = sum(
        weight.numel()
        for name, weight in built.named_parameters()
        if weight.ndim >= 2
        and "embed" not in name
        and not name.endswith(("wte.weight", "wpe.weight"))
    )
    if family == "qwen3_moe":
        # Two experts of four; three matrices of 64 x 32 each, in two layers.
        assert dense - shape.active_weights == 2 * 2 * 3 * 64 * 32
    else:
        tied = built.get_input_embeddings().weight is head
        assert shape.active_weights == dense + (head.numel() if tied else 0)


def test_a_window_makes_attention_cheaper(tmp_path: Path) -> None:
    config = write_config(tmp_path, *GREEN["gemma3"])
    section = ModelConfig(config_file=config)
    shape = measure_shape(section, vocab_size=320, seq_len=64)
    # One layer of 4 x 16 sees 64 tokens, the other 4 of 64.
    assert shape.attention_width == 64 + 64 * 4 / 64


def test_what_is_no_language_model_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "no such family"}))
    with pytest.raises(RecipeError, match="cannot be counted"):
        measure_shape(ModelConfig(config_file=path), vocab_size=50_000, seq_len=2048)


def test_operations_of_the_starter_kits_model() -> None:
    shape = shape_of(KIT, vocab_size=50_000, seq_len=2048)
    assert flops_per_token(shape) == pytest.approx(5.444e9, rel=1e-4)
    assert flops_per_token(shape, causal=True) == pytest.approx(4.991e9, rel=1e-3)


def test_half_the_mfu_takes_twice_as_long() -> None:
    shape = shape_of(KIT, vocab_size=50_000, seq_len=2048)
    slow, fast = (hours(10**9, shape, num_gpus=1, peak_flops=1e15, mfu=m) for m in (0.25, 0.5))
    assert slow == pytest.approx(2 * fast)
    with pytest.raises(ValueError, match=r"mfu 1\.5"):
        hours(1, shape, num_gpus=1, peak_flops=1e15, mfu=1.5)


def test_zero_divides_what_its_stage_says() -> None:
    shape = shape_of(KIT, vocab_size=50_000, seq_len=2048)

    def states(stage: int) -> tuple[int, int, int]:
        m = memory_per_gpu(shape, zero_stage=stage, world_size=8, micro_batch_rows=1)
        return m.parameters, m.gradients, m.optimizer

    n = 759_905_280
    # Half precision has at least stage 1, where bf16 gradients stand beside their fp32 sums.
    assert states(0) == states(1) == (2 * n, 6 * n, 12 * n // 8)
    assert states(2) == (2 * n, 4 * n // 8, 12 * n // 8)
    assert states(3) == (2 * n // 8, 4 * n // 8, 12 * n // 8)


def test_states_that_are_offloaded_take_no_memory_of_the_gpu() -> None:
    shape = shape_of(KIT, vocab_size=50_000, seq_len=2048)
    sizes = {"zero_stage": 1, "world_size": 1, "micro_batch_rows": 1}
    assert memory_per_gpu(shape, **sizes, offload_optimizer=True).optimizer == 0
    single = memory_per_gpu(shape, **{**sizes, "zero_stage": 0}, precision="fp32")
    n = 759_905_280
    assert (single.parameters, single.gradients, single.optimizer) == (4 * n, 4 * n, 8 * n)


def test_teachers_are_counted_whole_those_of_the_recipe_before_they_are_trained(
    tmp_path: Path,
) -> None:
    shape = shape_of(KIT, vocab_size=50_000, seq_len=2048)
    save_file({"a": np.zeros((3, 5)), "b": np.zeros(7)}, tmp_path / "model.safetensors")
    own, named = ({"num_seeds": 2}, {"models": [str(tmp_path)] * 2})
    counts = [
        teachers_of(TrainConfig.model_validate({"teacher": teacher}), shape)
        for teacher in ({}, own, named, own | named)
    ]
    assert counts == [0, 2 * shape.num_parameters, 44, 2 * shape.num_parameters + 44]
    sizes = {"zero_stage": 3, "world_size": 8, "micro_batch_rows": 1}
    alone, taught = (
        memory_per_gpu(shape, **sizes, teacher_parameters=count) for count in counts[:2]
    )
    assert taught.teachers == 2 * counts[1]
    assert taught.total - alone.total == taught.teachers + 2048 * 50_000 * 8


def test_muon_keeps_one_running_mean_of_a_matrix() -> None:
    shape = shape_of(KIT, vocab_size=50_000, seq_len=2048)
    matrices = 24 * 12 * 1536**2
    assert state_bytes(shape) - state_bytes(shape, with_muon=True) == 4 * matrices
    sizes = {"zero_stage": 1, "world_size": 4, "micro_batch_rows": 1}
    less = (
        memory_per_gpu(shape, **sizes).optimizer
        - memory_per_gpu(shape, **sizes, with_muon=True).optimizer
    )
    assert less == matrices


@pytest.mark.parametrize(
    ("name", "half", "single"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12, 67e12),
        ("NVIDIA H100 PCIe", 756e12, 51e12),
        ("NVIDIA H100 NVL", 835.5e12, 60e12),
        ("NVIDIA H200", 989.4e12, 67e12),
        ("NVIDIA A10G", 70e12, 31.5e12),
        ("NVIDIA A10", 125e12, 31.2e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("NVIDIA L4", 121e12, 30.3e12),
        ("NVIDIA L40S", 362e12, 91.6e12),
        ("NVIDIA B200", 2250e12, 80e12),
        ("Tesla T4", 65e12, 8.1e12),
    ],
)
def test_a_gpu_is_known_by_its_drivers_name(name: str, half: float, single: float) -> None:
    assert (peak_flops_of(name), peak_flops_of(name, "fp32")) == (half, single)


def test_a_cpu_promises_nothing() -> None:
    assert peak_flops_of("cpu") is None
