"""Real runs: two processes with ZeRO 2, killed and resumed; and `tonsai sft` from a file to a model that is measured."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline.synthetic.instructions import write_instructions
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec, launch
from tonsai_pipeline.tune.spec import TuneRun
from tonsai_pipeline_tests.tune.chats import dataset_of, recipe_of, write_base, write_jsonl

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model and instructions."""
    folder = tmp_path_factory.mktemp("tune")
    write_base(folder / "base")
    write_instructions(folder / "tasks.jsonl", 80)
    return folder


def run_of(folder: Path, output: str) -> TuneRun:
    base = folder / "base" / "model"
    recipe = recipe_of(
        base,
        {"tasks": folder / "tasks.jsonl"},
        method="lora",
        train={
            "zero_stage": 2,
            "num_epochs": 12,
            "optimizer": {"lr": 3e-3},
            "checkpoint": {"every_steps": 10},
            "validation": {"every_steps": 1000},
        },
    )
    dataset = dataset_of(recipe, Store(Layout(folder / "home", "test")), LocalEngine(1))
    return TuneRun(
        model=ModelConfig(base=str(base), positions="document"),
        train=recipe.sft.train,
        shards_dir=dataset.path,
        tokenizer_dir=dataset.path / "tokenizer",
        output_dir=folder / output,
        fingerprint="tiny",
        lora=recipe.sft.lora,
        marker_ids=tuple(dataset.report["marker_ids"]),
    )


def start(run: TuneRun, on_poll: Callable[[], None] | None = None) -> LaunchResult:
    spec = LaunchSpec("tonsai_pipeline.tune.job", run.write(), run.output_dir, num_processes=2)
    return launch(spec, on_poll=on_poll, grace_s=60.0)


def kill_at(run: TuneRun, step: int) -> Callable[[], None]:
    """Return a poll that kills a worker once the run has reached a step."""
    killed: list[int] = []

    def poll() -> None:
        path = run.output_dir / "metrics.jsonl"
        if killed or not path.exists() or not any(r["step"] >= step for r in read_metrics(path)):
            return
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if str(run.output_dir / "run.json") in words and "torch.distributed.run" not in words:
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)
                return

    return poll


def test_two_processes_with_zero_2_killed_and_resumed_end_on_the_same_bytes(folder: Path) -> None:
    whole, killed = run_of(folder, "whole"), run_of(folder, "killed")
    result = start(whole)
    assert result.state == "finished", result.failure.get("traceback")
    assert (result.status["world_size"], result.status["zero_stage"]) == (2, 2)
    assert start(killed, kill_at(killed, 12)).state == "failed"
    result = start(killed)
    assert result.state == "finished", result.failure.get("traceback")
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        one, other = (load_file(run.output_dir / name) for run in (whole, killed))
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items())
    adapter = load_file(whole.output_dir / "adapter" / "adapter_model.safetensors")
    # Four layers in each of two blocks, two matrices each; and the markers' rows.
    assert len(adapter) == 17
    assert all(value.abs().sum() > 0 for value in adapter.values())


def test_one_command_tunes_and_measures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TONSAI_HOME", str(folder / "command"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    texts = write_jsonl(folder / "khm.jsonl", [{"text": "ទន្លេធំហូរកាត់ភូមិតូចមួយ។"}] * 4)
    command = [
        *("sft", "--model", "base/model", "--data", "tasks.jsonl:CC-BY-NC-4.0", "--method", "full"),
        *("--output-dir", "tuned", "--num-epochs", "1", "--global-batch-tokens", "2048"),
        *("--lr", "1e-3", "--no-suite", "--texts", f"khm={texts}"),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (folder / "tuned" / "model" / "model.safetensors").is_file()
    assert "right answers, all" in result.output
    found: Any = read_json(folder / "tuned" / "evaluation" / "results.json")
    assert [one["model"] for one in found["following"]] == ["tuned", "base model"]
    assert {"khm", "replies"} == set(found["languages"])
    replies = found["languages"]["replies"]
    assert replies["after"]["bits_per_byte"] < replies["before"]["bits_per_byte"]
    page = (folder / "tuned" / "evaluation" / "report.html").read_text()
    assert "Held-out instructions" in page
