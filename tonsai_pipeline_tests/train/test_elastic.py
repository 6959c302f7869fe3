"""Loss and gradient do not depend on how the work is divided, nor on who wrote the checkpoint.

One launch of two processes makes all runs of two; runs of one process are made here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.checkpoints.fragments import FragmentReader
from tonsai_pipeline.train.launch import LaunchSpec, launch, process
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline_tests.train.many_runs import run_one
from tonsai_pipeline_tests.train.tiny import SEQ_LEN, make_run

pytestmark = pytest.mark.slow

#: Four steps of eight rows; saved after the second.
SHORT: dict[str, Any] = {
    "max_tokens": 4 * 8 * SEQ_LEN,
    "checkpoint": {"every_steps": 2, "keep_last": 9},
    "validation": {"every_steps": 100},
}
STAGES = (0, 1, 2, 3)
KINDS = [("fp32", stage) for stage in STAGES] + [("bf16", stage) for stage in (1, 2, 3)]
#: Their weights are averaged: processes have all of them.
AVERAGED = [kind for kind in KINDS if kind[1] < 3]
#: Each kind to itself, and to the next of its precision, round.
PAIRS = [(kind, kind) for kind in KINDS] + [
    (kind, (kind[0], kind[1] + 1 if kind[1] < 3 else {"fp32": 0, "bf16": 1}[kind[0]]))
    for kind in KINDS
]


def name_of(kind: tuple[str, int]) -> str:
    return f"{kind[0]}-zero{kind[1]}"


def settings_of(kind: tuple[str, int]) -> dict[str, Any]:
    average = {"average_frac": 0.75} if kind in AVERAGED else {}
    return {"precision": kind[0], "zero_stage": kind[1], **average}


#: Muon, where whole gradients are in each process. With ZeRO 1 both own a part of the matrix named: half of the
#: group of block 0 ends in it. It learns in both halves of the run, the other block in the second.
MUON = {
    name_of(kind): {
        **settings_of(kind),
        "optimizer": {"name": "muon", "lr": 3e-3},
        "freeze": [{"until_frac": 0.5, "trainable": ["*.h.0.*"]}],
    }
    for kind in (("fp32", 0), ("bf16", 1))
}
SPLIT = "transformer.h.0.mlp.c_fc.weight"


#: Students of a model that another run made, in the same precision.
TAUGHT = [("fp32", 0), ("fp32", 1), ("fp32", 2), ("bf16", 1), ("bf16", 2)]


class Runs:
    """Runs of one process are made at once; those of two are collected for one launch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: list[dict[str, str | None]] = []

    def add(self, name: str, start_from: Path | None = None, **train: Any) -> None:
        run = make_run(self.folder, f"elastic/two/{name}", **{**SHORT, **train})
        source = None if start_from is None else str(start_from)
        self.plan.append({"run": str(run.write()), "start_from": source})

    def alone(self, name: str, start_from: Path | None = None, **train: Any) -> None:
        run = make_run(self.folder, f"elastic/one/{name}", **{**SHORT, **train})
        run_one(run, None if start_from is None else str(start_from))

    def checkpoint(self, name: str) -> Path:
        return self.folder / "elastic" / name / "checkpoints" / "step-00000002"

    def average(self, name: str) -> tuple[dict[str, Any], bytes]:
        """What was measured of the mean, and the bytes of the model."""
        records = read_metrics(self.folder / "elastic" / name / "metrics.jsonl")
        (found,) = [record for record in records if record["kind"] == "average"]
        model = self.folder / "elastic" / name / "model" / "model.safetensors"
        return found, model.read_bytes()

    def curve(self, name: str) -> list[tuple[int, float, float]]:
        """(step, loss, gradient norm) of each step."""
        records = read_metrics(self.folder / "elastic" / name / "metrics.jsonl")
        return [
            (r["step"], r["last_loss"], r["grad_norm"]) for r in records if r["kind"] == "train"
        ]


@pytest.fixture(scope="module")
def runs(tiny_data: Path) -> Iterator[Runs]:
    made = Runs(tiny_data)
    before = dict(os.environ)
    for micro in (1, 2, 8):
        made.alone(f"micro{micro}", backend="torch", micro_batch_rows=micro)
    # Three rows at a time: two micro batches of three and, for two processes, none is empty; of five, some are.
    made.alone("zero1-micro3", zero_stage=1, micro_batch_rows=3)
    for micro in (1, 2, 3, 4):
        made.add(f"micro{micro}", zero_stage=1, micro_batch_rows=micro)
    made.add("auto", zero_stage=1, micro_batch_rows="auto")
    for kind in KINDS:
        made.add(name_of(kind), **settings_of(kind))
    for kind, other in PAIRS:
        # From ZeRO 3 nothing was averaged: the mean cannot go on.
        settings = settings_of(other)
        if kind not in AVERAGED:
            settings.pop("average_frac", None)
        source = made.checkpoint(f"two/{name_of(kind)}")
        made.add(f"{name_of(kind)}-to-{name_of(other)}", source, **settings)
    for kind, settings in MUON.items():
        made.add(f"muon-{kind}", **settings)
        for other, goes_on in MUON.items():
            made.add(f"muon-{kind}-to-{other}", made.checkpoint(f"two/muon-{kind}"), **goes_on)
        made.alone(f"muon-{kind}", **{**settings, "backend": "torch", "average_frac": None})
    teacher = {"models": [str(tiny_data / "elastic" / "one" / "micro2" / "model")], "weight": 0.7}
    made.alone("taught", backend="torch", teacher=teacher)
    for kind in TAUGHT:
        settings = {"precision": kind[0], "zero_stage": kind[1], "teacher": teacher}
        made.add(f"taught-{name_of(kind)}", **settings)
        source = made.checkpoint(f"two/taught-{name_of(kind)}")
        made.add(f"taught-{name_of(kind)}-on", source, **settings)
    made.add("from-one", made.checkpoint("one/micro2"), zero_stage=2)
    folder = tiny_data / "elastic"
    plan = folder / "plan.json"
    plan.write_text(json.dumps(made.plan))
    spec = LaunchSpec("tonsai_pipeline_tests.train.many_runs", plan, folder, num_processes=2)
    result = launch(spec)
    assert result.state == "finished", result.failure.get("traceback")
    for kind in KINDS:
        source = made.checkpoint(f"two/{name_of(kind)}")
        made.alone(f"from-{name_of(kind)}", source, precision=kind[0], zero_stage=max(1, kind[1]))
        if kind[0] == "fp32":
            average = {"average_frac": 0.75} if kind in AVERAGED else {}
            made.alone(f"torch-from-{name_of(kind)}", source, backend="torch", **average)
    for kind, settings in MUON.items():
        source = made.checkpoint(f"two/muon-{kind}")
        made.alone(f"muon-from-{kind}", source, **settings)
    yield made
    process.leave_group()
    for name in set(os.environ) - set(before):
        del os.environ[name]


def assert_same(found, expected, *, rel: float) -> None:
    assert [step for step, _, _ in found] == [step for step, _, _ in expected]
    for (_, loss, norm), (_, same, same_norm) in zip(found, expected, strict=True):
        assert loss == pytest.approx(same, rel=rel)
        assert norm == pytest.approx(same_norm, rel=10 * rel)


def test_loss_is_equal_over_processes_micro_batches_and_accumulation(runs: Runs) -> None:
    expected = runs.curve("one/micro2")
    assert len(expected) == 4
    for name in ("one/micro1", "one/micro8", "one/zero1-micro3"):
        assert_same(runs.curve(name), expected, rel=2e-6)
    for micro in (1, 2, 3, 4):
        assert_same(runs.curve(f"two/micro{micro}"), expected, rel=2e-6)
    # Four rows are a process's whole share of a step.
    assert runs.curve("two/auto") == runs.curve("two/micro4")


@pytest.mark.parametrize("stage", STAGES)
def test_every_zero_stage_learns_the_same(runs: Runs, stage: int) -> None:
    assert_same(runs.curve(f"two/fp32-zero{stage}"), runs.curve("one/micro2"), rel=2e-6)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_run_resumed_as_it_was_goes_on_to_the_last_digit(runs: Runs, kind) -> None:
    whole = runs.curve(f"two/{name_of(kind)}")
    assert runs.curve(f"two/{name_of(kind)}-to-{name_of(kind)}") == whole[2:]


@pytest.mark.parametrize("kind", AVERAGED, ids=name_of)
def test_the_mean_of_the_weights_goes_on_to_the_last_digit_and_over_zero_stages(
    runs: Runs, kind
) -> None:
    name = f"two/{name_of(kind)}"
    whole, model = runs.average(name)
    assert runs.average(f"{name}-to-{name_of(kind)}") == (whole, model)
    others = [f"{name}-to-{name_of(other)}" for k, other in PAIRS if k == kind and other[1] < 3]
    others += [f"one/torch-from-{name_of(kind)}"] if kind[0] == "fp32" else []
    plain, _ = runs.average("two/fp32-zero0")
    rel = 1e-5 if kind[0] == "fp32" else 1e-2
    for language in ("khm", "eng"):
        bits = whole[language]["bits_per_byte"]
        assert bits == pytest.approx(plain[language]["bits_per_byte"], rel=rel)
        for other in others:
            assert runs.average(other)[0][language]["bits_per_byte"] == pytest.approx(bits, rel=rel)


@pytest.mark.parametrize("kind", MUON)
def test_muon_learns_the_same_and_goes_on_exactly_however_it_is_divided(runs: Runs, kind) -> None:
    name, whole = f"two/muon-{kind}", runs.curve(f"two/muon-{kind}")
    assert_same(whole, runs.curve(f"one/muon-{kind}"), rel=1e-5 if kind == "fp32-zero0" else 2e-4)
    assert runs.curve(f"{name}-to-{kind}") == whole[2:]
    assert runs.average(f"{name}-to-{kind}") == runs.average(name)
    for other in (*(f"{name}-to-{other}" for other in MUON), f"one/muon-from-{kind}"):
        found = runs.curve(other)
        assert found[0][1] == pytest.approx(whole[2][1], rel=1e-4)
        assert_same(found, whole[2:], rel=1e-3)


@pytest.mark.parametrize("kind", TAUGHT, ids=name_of)
def test_a_student_learns_the_same_and_goes_on_exactly_however_it_is_divided(
    runs: Runs, kind
) -> None:
    whole = runs.curve(f"two/taught-{name_of(kind)}")
    assert_same(whole, runs.curve("one/taught"), rel=2e-6 if kind[0] == "fp32" else 2e-3)
    assert abs(whole[-1][1] / runs.curve(f"two/{name_of(kind)}")[-1][1] - 1) > 0.01
    assert runs.curve(f"two/taught-{name_of(kind)}-on") == whole[2:]


def test_both_owners_of_a_matrix_make_the_update_of_one(runs: Runs) -> None:
    state = runs.checkpoint("two/muon-bf16-zero1") / "state"
    for start, file in zip((0, 8192), sorted(state.iterdir()), strict=True):
        assert f"momentum_buffer/{start}/{SPLIT}" in load_file(file)

    def weights(folder: Path) -> torch.Tensor:
        return FragmentReader(folder / "state").read("weight", SPLIT, 0, 16384)

    before = weights(state.parent)
    one, two = (
        weights(runs.folder / "elastic" / name / "checkpoints/step-00000004") - before
        for name in ("one/muon-from-bf16-zero1", "two/muon-bf16-zero1-to-bf16-zero1")
    )
    assert (two - one).norm() < 0.1 * one.norm()


@pytest.mark.parametrize(("kind", "other"), PAIRS)
def test_another_zero_stage_goes_on_with_the_same_loss(runs: Runs, kind, other) -> None:
    expected = runs.curve(f"two/{name_of(kind)}")[2:]
    found = runs.curve(f"two/{name_of(kind)}-to-{name_of(other)}")
    assert found[0][1] == expected[0][1]
    assert_same(found, expected, rel=1e-5 if kind[0] == "fp32" else 2e-4)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_one_process_goes_on_from_two_with_the_same_first_loss(runs: Runs, kind) -> None:
    expected = runs.curve(f"two/{name_of(kind)}")[2:]
    found = [runs.curve(f"one/from-{name_of(kind)}")]
    if kind[0] == "fp32":
        found.append(runs.curve(f"one/torch-from-{name_of(kind)}"))
    for curve in found:
        assert curve[0][1] == pytest.approx(expected[0][1], rel=1e-6)
        assert_same(curve, expected, rel=1e-5 if kind[0] == "fp32" else 1e-3)


def test_two_processes_go_on_from_one_with_the_same_first_loss(runs: Runs) -> None:
    expected = runs.curve("one/micro2")[2:]
    assert_same(runs.curve("two/from-one"), expected, rel=2e-6)


def test_each_process_writes_its_own_part_and_reads_no_pickle(runs: Runs) -> None:
    files = sorted((runs.checkpoint("two/fp32-zero1") / "state").iterdir())
    assert [f.name for f in files] == [f"0000{r}-of-00002-000.safetensors" for r in (0, 1)]
    sizes = [f.stat().st_size for f in files]
    assert max(sizes) < 1.2 * min(sizes)
    manifest: Any = read_json(runs.checkpoint("two/fp32-zero1") / "manifest.json")
    assert set(manifest["files"]) == {f"state/{f.name}" for f in files}
    assert TrainRun.read(runs.folder / "elastic/two/micro1/run.json").train.zero_stage == 1
