"""Trackers are imported when a recipe names them, and never stop a run."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.train import MetricsConfig
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.records.metrics import EVENT, TRAIN, Metrics
from tonsai_pipeline.train.records.trackers import check_trackers, open_trackers


class FakeRun:
    """What `init` of both packages returns."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = False
        self.broken = False

    def log(self, data: dict[str, Any], step: int) -> None:
        if self.broken:
            raise ConnectionError("no route to host")
        self.logged.append((step, data))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[FakeRun]]:
    """Put modules named wandb and trackio where imports find them."""
    runs: dict[str, list[FakeRun]] = {"wandb": [], "trackio": []}
    for name, made in runs.items():
        module: Any = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.Table = lambda columns, data: (columns, data)

        def init(made=made, **settings: Any) -> FakeRun:
            made.append(FakeRun(**settings))
            return made[-1]

        module.init = init
        monkeypatch.setitem(sys.modules, name, module)
    return runs


def open_metrics(tmp_path: Path, messages: list[str], **section: Any) -> Metrics:
    config = MetricsConfig.model_validate({"tensorboard": False, **section})
    trackers = open_trackers(
        config, tmp_path, fingerprint="f" * 64, settings=lambda: {"train": {"seed": 0}}
    )
    return Metrics(
        tmp_path / "metrics.jsonl", rank=0, trackers=trackers, on_trouble=messages.append
    )


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_package_is_refused_with_the_name_of_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    section = MetricsConfig.model_validate({"trackers": [name]})
    with pytest.raises(RecipeError, match=f"{name} is not installed.*--extra {name}"):
        check_trackers(section)


def test_nothing_is_imported_that_no_recipe_names(tmp_path: Path, fakes) -> None:
    open_metrics(tmp_path, []).rewind(0)
    assert fakes == {"wandb": [], "trackio": []}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_numbers_and_texts_reach_the_tracker(tmp_path: Path, fakes, name: str) -> None:
    metrics = open_metrics(tmp_path, [], trackers=[name], tracker_offline=True)
    metrics.rewind(0)
    metrics.write(TRAIN, 3, loss=1.5, split_s={"data": 0.1})
    metrics.write(EVENT, 3, message="text is no number")
    metrics.write_samples(4, [{"language": "khm", "prompt": "a", "text": "b"}])
    metrics.rewind(2)  # a rollback goes on in the same run
    metrics.close()
    [run] = fakes[name]
    assert run.logged[0] == (3, {"train/loss": 1.5, "train/split_s/data": 0.1})
    step, shown = run.logged[1]
    assert (step, list(shown), "a | b" in str(shown)) == (4, ["sample/khm/0"], True)
    assert run.finished
    assert run.settings["resume"] == "allow"
    assert run.settings["config"] == {"train": {"seed": 0}}
    if name == "wandb":
        assert run.settings["mode"] == "offline"


def test_a_tracker_that_fails_is_left_and_training_goes_on(tmp_path: Path, fakes) -> None:
    messages: list[str] = []
    metrics = open_metrics(tmp_path, messages, trackers=["wandb", "trackio"])
    metrics.rewind(0)
    fakes["wandb"][0].broken = True
    for step in (1, 2):
        metrics.write(TRAIN, step, loss=float(step))
    metrics.close()
    assert [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]
    assert [step for step, _ in fakes["trackio"][0].logged] == [1, 2]
    assert len(messages) == 1
    assert "wandb is left" in messages[0]
    assert "no route to host" in messages[0]
