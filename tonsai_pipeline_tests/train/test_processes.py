"""Real runs of two processes with DeepSpeed: killed, cancelled and resumed, they end on the same last digit.

Each launch costs half a minute, so a few runs are made once and many things are asked of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tonsai_pipeline.evaluate import job as eval_job
from tonsai_pipeline.evaluate.spec import EvalRun
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_joined, read_metrics
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec, launch
from tonsai_pipeline.train.launch.rendezvous import Rendezvous
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline_tests.train.tiny import MODEL, NUM_REAL, make_run

pytestmark = pytest.mark.slow

#: Long enough (several seconds) to be caught in the middle.
LONG: Mapping[str, Any] = {
    "num_epochs": 20.0,
    "checkpoint": {"every_steps": 10},
    "validation": {"every_steps": 60},
}


def start(
    run: TrainRun,
    on_poll: Callable[[], None] | None = None,
    *,
    num_processes: int = 2,
    rendezvous: Rendezvous | None = None,
) -> LaunchResult:
    spec = LaunchSpec(
        "tonsai_pipeline.train.job",
        run.write(),
        run.output_dir,
        num_processes=num_processes,
        rendezvous=rendezvous,
    )
    return launch(spec, on_poll=on_poll, grace_s=60.0)


def train_records(run: TrainRun) -> list[tuple[int, float, float, float]]:
    records = read_metrics(run.output_dir / "metrics.jsonl")
    return [
        (r["step"], r["last_loss"], r["grad_norm"], r["lr"])
        for r in records
        if r["kind"] == "train"
    ]


def when_step(run: TrainRun, step: int, do: Callable[[], None]) -> Callable[[], None]:
    """Return a poll that acts once the run has reached a step."""
    done: list[int] = []

    def poll() -> None:
        path = run.output_dir / "metrics.jsonl"
        if done or not path.exists():
            return
        if any(r["step"] >= step for r in read_metrics(path)):
            done.append(step)
            do()

    return poll


def workers(run: TrainRun) -> list[psutil.Process]:
    """The training processes of a run, without their launcher."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(run.output_dir / "run.json") in words and "torch.distributed.run" not in words:
            found.append(process)
    return found


class Machine:
    """Another machine: `tonsai node` in processes of its own."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-m", "tonsai_pipeline", "node", "--home", str(root)]
        self._node = psutil.Popen([*command, "--address", "127.0.0.2", "--num-processes", "1"])

    def lose_power(self) -> None:
        """End everything at once, without a chance to save."""
        with suppress(psutil.NoSuchProcess):
            for process in (self._node, *self._node.children(recursive=True)):
                process.kill()
        self._node.wait()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A process that is alone on its machine would get all cores, and sums over more threads end on another digit."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def undisturbed(tiny_data: Path) -> TrainRun:
    run = make_run(tiny_data, "whole", **LONG)
    result = start(run)
    assert result.state == "finished", result.failure.get("traceback")
    assert result.status["world_size"] == 2
    assert result.status["zero_stage"] == 1
    return run


@pytest.fixture(scope="module")
def disturbed(tiny_data: Path) -> TrainRun:
    """The same run: cancelled once, then on two machines of which one dies, then on one again."""
    run = make_run(tiny_data, "runs/pretrain/disturbed", **LONG)
    folder = run.output_dir

    class Cancelled(BaseException):
        pass

    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        start(run, when_step(run, 15, cancel))
    status = read_json(folder / "status.json")
    assert isinstance(status, dict)
    assert status["state"] == "interrupted"
    assert 15 <= status["step"] < 120
    assert Path(status["checkpoint"]).name == f"step-{status['step']:08d}"
    assert workers(run) == []

    other = Machine(tiny_data)
    joined: list[dict[str, Any]] = []

    def kill() -> None:
        joined.extend(read_joined(folder))
        other.lose_power()

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TONSAI_RENDEZVOUS", "127.0.0.1")
        try:
            result = start(
                run,
                when_step(run, status["step"] + 12, kill),
                num_processes=1,
                rendezvous=Rendezvous("2"),
            )
        finally:
            other.lose_power()
    assert (result.state, result.may_retry) == ("failed", True)
    assert [machine["num_processes"] for machine in joined] == [1, 1]
    assert workers(run) == []
    assert list(folder.glob("failure-*"))
    assert start(run).state == "finished"
    assert not {*folder.glob("failure-*"), *folder.glob("nodes.json"), *folder.glob(".met-*")}
    return run


def test_a_run_that_was_cancelled_and_lost_a_machine_equals_one_that_was_not(
    undisturbed: TrainRun, disturbed: TrainRun
) -> None:
    whole = train_records(undisturbed)
    assert [record[0] for record in whole] == list(range(1, 121))
    assert train_records(disturbed) == whole
    weights = [
        (r.output_dir / "model" / "model.safetensors").read_bytes()
        for r in (undisturbed, disturbed)
    ]
    assert weights[0] == weights[1]


def test_it_learns_and_measures_both_languages(undisturbed: TrainRun) -> None:
    records = read_metrics(undisturbed.output_dir / "metrics.jsonl")
    held_out = [r for r in records if r["kind"] == "validation"]
    assert [r["step"] for r in held_out] == [0, 60, 120]
    for language in ("khm", "eng"):
        curve = [r[language]["bits_per_byte"] for r in held_out]
        assert curve[0] > curve[1] > curve[2]
        assert curve[0] == pytest.approx(
            held_out[0][language]["num_tokens"]
            / held_out[0][language]["num_bytes"]
            * math.log2(320),
            rel=0.02,
        )


def test_the_exported_model_opens_and_measures_what_training_measured(
    undisturbed: TrainRun, tmp_path: Path
) -> None:
    folder = undisturbed.output_dir / "model"
    model = AutoModelForCausalLM.from_pretrained(str(folder))
    assert len(AutoTokenizer.from_pretrained(str(folder))) == NUM_REAL
    with torch.no_grad():
        assert model(torch.tensor([[0, 5, 6]])).logits.shape == (1, 3, 320)

    class Silent:
        def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None: ...
        def log(self, message: str) -> None: ...

    run = EvalRun(
        name="tiny",
        evaluate=EvaluateConfig.model_validate({"generation": {"max_new_tokens": 8}}),
        model_dir=folder,
        shards_dir=undisturbed.shards_dir,
        training_dir=undisturbed.output_dir,
        untrained=MODEL,
        seed=0,
        output_dir=tmp_path,
        fingerprint="e",
    )
    found = eval_job.evaluate(run, reporter=Silent())
    records = read_metrics(undisturbed.output_dir / "metrics.jsonl")
    held_out = [r for r in records if r["kind"] == "validation"]
    for language in ("khm", "eng"):
        before, after = held_out[0][language], held_out[-1][language]
        assert found.languages[language]["before"].bits_per_byte == pytest.approx(
            before["bits_per_byte"], rel=1e-6
        )
        assert found.languages[language]["after"].bits_per_byte == pytest.approx(
            after["bits_per_byte"], rel=1e-6
        )
    report = read_json(tmp_path / "results.json")
    assert isinstance(report, dict)
    assert len(report["samples"]) == 10
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") == 1
    assert read_json(tmp_path / "status.json") == {"fingerprint": "e", "state": "finished"}
