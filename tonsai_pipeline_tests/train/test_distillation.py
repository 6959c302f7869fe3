"""Runs with teachers: exact after a stop, told apart by what the teachers are, the same in every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.storage.files import name_contents
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline_tests.train.test_job import losses, run_job, weights


@pytest.fixture(scope="module")
def teacher(tiny_data: Path) -> dict[str, Any]:
    """Settings with two teachers."""
    for seed in (1, 2):
        run_job(tiny_data, f"teacher{seed}", num_epochs=3.0, seed=seed)
    models = [str(tiny_data / f"teacher{seed}" / "model") for seed in (1, 2)]
    return {"models": models, "weight": 0.5, "temperature": 2.0}


@pytest.fixture(scope="module")
def taught(tiny_data: Path, teacher: dict[str, Any]) -> list[dict]:
    return run_job(tiny_data, "taught", teacher=teacher)[1]


def test_a_student_takes_another_way_and_is_measured_by_the_plain_loss(
    tiny_data: Path, taught: list[dict]
) -> None:
    _, alone, _ = run_job(tiny_data, "alone")
    first, first_alone = (
        next(r for r in records if r["kind"] == "validation") for records in (taught, alone)
    )
    assert first["khm"] == first_alone["khm"]
    assert losses(taught)[0] != losses(alone)[0]
    assert not torch.equal(weights(tiny_data / "taught"), weights(tiny_data / "alone"))


def test_a_stopped_student_goes_on_to_the_same_bytes(
    tiny_data: Path, teacher: dict[str, Any], taught: list[dict]
) -> None:
    run_job(tiny_data, "taught, stopped", StopAfter(3), teacher=teacher)
    _, records, _ = run_job(tiny_data, "taught, stopped", teacher=teacher)
    assert losses(records) == losses(taught)
    assert torch.equal(weights(tiny_data / "taught"), weights(tiny_data / "taught, stopped"))


def test_memory_savers_do_not_change_what_is_learnt(
    tiny_data: Path, teacher: dict[str, Any], taught: list[dict]
) -> None:
    savers = {"loss_chunk_tokens": 50, "activation_checkpointing": True, "micro_batch_rows": 8}
    _, records, _ = run_job(tiny_data, "taught, saving", teacher=teacher, **savers)
    for (_, loss, norm), (_, same, same_norm) in zip(losses(records), losses(taught), strict=True):
        assert (loss, norm) == (pytest.approx(same, rel=2e-5), pytest.approx(same_norm, rel=2e-4))


def test_the_key_is_made_of_the_teachers_bytes(tmp_path: Path) -> None:
    def key(name: str, contents: str) -> Any:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text(contents)
        section = TrainConfig.model_validate({"teacher": {"models": [str(tmp_path / name)]}})
        return section.settings(name_contents)["teacher"]

    assert key("a", "one") == key("b", "one")
    assert key("a", "one") != key("a", "two")
