"""What the plan says of a run stands beside what the run measured; presets choose what fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.planner.network import flops_per_token, shape_of
from tonsai_pipeline.planner.prediction import compare
from tonsai_pipeline.planner.presets import PRESETS, fit
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline_tests.train import runs, tiny

KIT = shape_of(
    ModelConfig(num_layers=24, hidden_size=1536, num_heads=24), vocab_size=50_048, seq_len=2048
)

#: 0.50 B parameters, what a T4 holds in fp32; the starter kit's 0.76 B take 12.2 GB before the first activation.
HALF = shape_of(
    ModelConfig(num_layers=22, hidden_size=1280, num_heads=20), vocab_size=50_048, seq_len=2048
)


def test_a_run_has_the_parameters_that_were_planned_and_says_how_fast_it_was(
    tiny_data: Path,
) -> None:
    run = tiny.make_run(tiny_data, "measured", backend="torch")
    runs.train(run)
    status: Any = read_json(run.output_dir / "status.json")
    records = read_metrics(run.output_dir / "metrics.jsonl")
    sizes = {"vocab_size": tiny.VOCAB_SIZE, "seq_len": tiny.SEQ_LEN}
    found = compare(run.train, status, records)
    assert found["plan_parameters"] == found["run_parameters"] > 100_000
    speed = found["run_tokens_per_s"]
    assert found["run_tflops"] == pytest.approx(
        speed * flops_per_token(shape_of(run.model, **sizes)) / 1e12, rel=1e-2
    )
    assert "plan_tokens_per_s" not in found  # a CPU promises nothing
    gpu = [r | {"mfu": 0.3, "peak_memory_gb": 2.5} for r in records]
    found = compare(run.train, status | {"peak_flops": 1e12}, gpu)
    assert (found["run_mfu"], found["run_memory_gb"]) == (0.3, 2.5)
    assert found["plan_tokens_per_s"] == pytest.approx(
        0.4 * 1e12 / flops_per_token(shape_of(run.model, **sizes)), rel=1e-5
    )


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_chosen_fits_and_a_larger_network_needs_no_less_saving(name: str) -> None:
    preset = PRESETS[name]
    chosen = fit(preset, HALF if name == "colab-t4" else KIT, TrainConfig())
    small = shape_of(ModelConfig(num_layers=4, hidden_size=256), vocab_size=8192, seq_len=512)
    light = fit(preset, small, TrainConfig())
    assert chosen is not None
    assert light is not None
    assert chosen.memory.total < 0.92 * preset.memory_gb * 1e9 - 2e9
    assert chosen.precision == ("bf16" if preset.has_bf16 else "fp32")
    assert light.activation_checkpointing <= chosen.activation_checkpointing
    assert light.micro_batch_rows >= chosen.micro_batch_rows


def test_one_h200_takes_the_starter_kits_model_without_any_saver() -> None:
    chosen = fit(PRESETS["h200"], KIT, TrainConfig())
    assert chosen is not None
    assert (chosen.micro_batch_rows, chosen.loss_chunk_tokens) == (32, 0)
    assert not chosen.activation_checkpointing


def test_what_fits_nowhere_is_not_chosen() -> None:
    huge = shape_of(
        ModelConfig(num_layers=80, hidden_size=8192, num_heads=64), vocab_size=50_048, seq_len=2048
    )
    assert fit(PRESETS["8xh200"], huge, TrainConfig()) is None
    assert fit(PRESETS["colab-t4"], KIT, TrainConfig()) is None
