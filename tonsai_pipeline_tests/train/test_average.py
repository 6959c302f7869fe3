"""The running mean of the weights: right, exact after a kill, and exported where it is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.train import job
from tonsai_pipeline.train.checkpoints.fragments import AVERAGE, WEIGHT, FragmentReader
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline_tests.train.test_job import run_job, weights

#: Six steps at a rate so high that the last weights are worse than their mean.
WILD: dict[str, Any] = {
    "average_frac": 0.5,
    "optimizer": {"lr": 0.2},
    "schedule": {"warmup_frac": 0.0, "decay_frac": 0.0},
    "checkpoint": {"every_steps": 1, "keep_last": 9},
    "validation": {"every_steps": 100},
}
NAME = "transformer.h.0.mlp.c_fc.weight"
NUM = 64 * 256


def saved(output: Path, step: int) -> FragmentReader:
    return FragmentReader(output / "checkpoints" / f"step-{step:08d}" / "state")


def verdict(output: Path) -> dict[str, Any]:
    status: Any = read_json(output / "status.json")
    return status["average"]


def measured(records: list[dict]) -> list[dict]:
    return [record for record in records if record["kind"] == "average"]


@pytest.fixture(scope="module")
def whole(tiny_data: Path) -> tuple[Path, list[dict]]:
    _, records, _ = run_job(tiny_data, "average", **WILD)
    return tiny_data / "average", records


def test_it_is_the_exponential_mean_of_the_weights_after_each_step(whole) -> None:
    output, _ = whole
    steps = [saved(output, step).read(WEIGHT, NAME, 0, NUM) for step in range(1, 7)]
    # Half of six steps: each step a third less than the one after it.
    parts = torch.tensor([(2 / 3) ** (6 - step) for step in range(1, 7)])
    expected = (torch.stack(steps) * (parts / parts.sum())[:, None]).sum(dim=0)
    mean = saved(output, 6).read(AVERAGE, NAME, 0, NUM)
    assert torch.allclose(mean, expected, atol=1e-5)
    assert not torch.allclose(mean, steps[-1], atol=1e-2)


def test_the_better_one_is_exported_and_both_are_reported(whole) -> None:
    output, records = whole
    found = verdict(output)
    assert found["kept"] == "average"
    assert all(found["average"][lang] < found["last"][lang] for lang in ("khm", "eng"))
    (record,) = measured(records)
    assert record["khm"]["bits_per_byte"] == found["average"]["khm"]
    last = [r for r in records if r["kind"] == "validation"][-1]
    assert last["khm"]["bits_per_byte"] == found["last"]["khm"]
    exported = load_file(output / "model" / "model.safetensors")[NAME].flatten()
    assert torch.equal(exported, saved(output, 6).read(AVERAGE, NAME, 0, NUM))


def test_the_last_weights_are_exported_where_they_are_better(tiny_data: Path) -> None:
    run_job(tiny_data, "average, tame", **{**WILD, "optimizer": {"lr": 3e-3}})
    output = tiny_data / "average, tame"
    assert verdict(output)["kept"] == "last"
    exported = load_file(output / "model" / "model.safetensors")[NAME].flatten()
    assert torch.equal(exported, saved(output, 6).read(WEIGHT, NAME, 0, NUM))


@pytest.mark.parametrize("steps", [2, 4])
def test_a_stopped_run_ends_on_the_same_mean(tiny_data: Path, whole, steps: int) -> None:
    name = f"average, stopped at {steps}"
    run_job(tiny_data, name, StopAfter(steps), **WILD)
    _, records, _ = run_job(tiny_data, name, **WILD)
    assert measured(records) == measured(whole[1])
    assert torch.equal(weights(tiny_data / name), weights(whole[0]))


def test_a_run_killed_after_its_last_step_still_knows_which_to_export(
    tiny_data: Path, whole, monkeypatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: Any) -> None:
        raise Killed

    name = "average, killed"
    with monkeypatch.context() as patched:
        patched.setattr(job.Work, "export", dies)
        with pytest.raises(Killed):
            run_job(tiny_data, name, **WILD)
    run_job(tiny_data, name, **WILD)
    assert verdict(tiny_data / name) == verdict(whole[0])
    assert torch.equal(weights(tiny_data / name), weights(whole[0]))
