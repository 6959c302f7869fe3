"""Counts are those of the real networks; operations and hours follow the published formulas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.build import num_parameters as real_count
from tonsai_pipeline.planner.network import (
    flops_per_token,
    hours,
    memory_per_gpu,
    num_parameters,
    peak_flops_of,
    shape_of,
)
from tonsai_pipeline.recipe.model import ModelConfig

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
    assert num_parameters(shape_of(section, vocab_size=vocab_size, seq_len=2048)) == expected


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
    assert num_parameters(shape_of(section, vocab_size=320, seq_len=64)) == real_count(model)


def test_a_config_file_is_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "kit.json"
    kit = {"model_type": "gpt2", "n_embd": 1536, "n_layer": 24, "n_head": 24, "n_inner": 6144}
    path.write_text(json.dumps({**kit, "n_positions": 2048, "vocab_size": 1}))
    shape = shape_of(ModelConfig(config_file=path), vocab_size=50_000, seq_len=2048)
    assert num_parameters(shape) == 759_905_280
    path.write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(RecipeError, match="cannot count a 'mamba' network"):
        shape_of(ModelConfig(config_file=path), vocab_size=50_000, seq_len=2048)


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
    assert states(0) == (2 * n, 4 * n, 12 * n)
    assert states(1) == (2 * n, 4 * n, 12 * n // 8)
    assert states(2) == (2 * n, 4 * n // 8, 12 * n // 8)
    assert states(3) == (2 * n // 8, 4 * n // 8, 12 * n // 8)


def test_a_gpu_is_known_by_its_drivers_name() -> None:
    assert peak_flops_of("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak_flops_of("NVIDIA H100 PCIe") == 756e12
    assert peak_flops_of("NVIDIA L40S") == 362e12
    assert peak_flops_of("cpu") is None
