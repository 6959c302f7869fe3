"""What names a run: settings that change its weights, and the bytes of files, not their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.storage.files import name_contents
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline_tests.train.tiny import make_run


def run_settings(model: ModelConfig, train: TrainConfig) -> tuple[object, object]:
    return model.settings(name_contents), train.settings(name_contents)


def test_saving_and_logging_do_not_name_a_run_but_the_rate_does() -> None:
    plain = run_settings(ModelConfig(), TrainConfig())
    often = TrainConfig.model_validate(
        {"checkpoint": {"every_steps": 1}, "metrics": {"tensorboard": False}}
    )
    faster = TrainConfig.model_validate({"optimizer": {"lr": 1e-3}})
    assert run_settings(ModelConfig(), often) == plain
    assert run_settings(ModelConfig(), faster) != plain


def test_a_run_keeps_its_name_when_it_is_divided_otherwise() -> None:
    plain = run_settings(ModelConfig(), TrainConfig())
    small = {
        "zero_stage": 2,
        "backend": "torch",
        "loss_chunk_tokens": 9,
        "micro_batch_rows": 1,
        "activation_checkpointing": True,
    }
    assert run_settings(ModelConfig(), TrainConfig.model_validate(small)) == plain
    exact = TrainConfig.model_validate({"precision": "fp32"})
    assert run_settings(ModelConfig(), exact) != plain


def test_a_file_counts_by_its_bytes_and_not_by_its_place(tmp_path: Path) -> None:
    first, moved, other = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    first.write_text("{}")
    moved.write_text("{}")
    other.write_text("[]")
    named = [run_settings(ModelConfig(config_file=p), TrainConfig()) for p in (first, moved, other)]
    assert named[0] == named[1] != named[2]


def test_a_run_file_gives_back_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "out")
    assert TrainRun.read(run.write()) == run
    (tmp_path / "bad.json").write_text('{"model": 3}')
    with pytest.raises(RecipeError, match="not a training run"):
        TrainRun.read(tmp_path / "bad.json")
