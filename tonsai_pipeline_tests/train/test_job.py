"""Whole runs in this process, with plain torch: they learn, skip what is broken, and go on exactly."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.loop.stop import StopAfter, StopRequest
from tonsai_pipeline_tests.train import runs
from tonsai_pipeline_tests.train.tiny import SEQ_LEN, make_run, write_shards

FIRST_FILE = "00000-of-00001-000.safetensors"


def run_job(folder: Path, output: str, stop: StopRequest | None = None, **train):
    run = make_run(folder, output, backend="torch", **train)
    outcome, reporter = runs.train(run, stop)
    return outcome, read_metrics(run.output_dir / "metrics.jsonl"), reporter


def losses(records: list[dict]) -> list[tuple[int, float, float]]:
    return [(r["step"], r["last_loss"], r["grad_norm"]) for r in records if r["kind"] == "train"]


@pytest.fixture(scope="module")
def undisturbed(tiny_data: Path):
    return run_job(tiny_data, "undisturbed")


def test_one_batch_can_be_learnt_by_heart(tiny_data: Path, tmp_path: Path) -> None:
    # One row: in several, the same beginning would be followed by different tokens.
    write_shards(tmp_path / "shards", num_rows=1)
    shutil.copytree(tiny_data / "tokenizer", tmp_path / "tokenizer")
    _, records, _ = run_job(
        tmp_path,
        "by_heart",
        num_epochs=100.0,
        global_batch_tokens=SEQ_LEN,
        optimizer={"lr": 1e-2, "weight_decay": 0.0},
        validation={"every_steps": 1000},
        checkpoint={"every_steps": 1000},
    )
    found = losses(records)
    assert found[0][1] > 5.0
    assert found[-1][1] < 0.05


@pytest.mark.parametrize("micro_batch_rows", [1, 4, 8])
def test_loss_and_gradient_do_not_depend_on_the_micro_batch(
    tiny_data: Path, undisturbed, micro_batch_rows: int
) -> None:
    _, records, _ = run_job(
        tiny_data, f"micro{micro_batch_rows}", micro_batch_rows=micro_batch_rows
    )
    for (_, loss, norm), (_, same, same_norm) in zip(
        losses(records), losses(undisturbed[1]), strict=True
    ):
        assert loss == pytest.approx(same, rel=2e-5)
        assert norm == pytest.approx(same_norm, rel=2e-4)


def test_memory_savers_do_not_change_the_result(tiny_data: Path, undisturbed) -> None:
    _, records, _ = run_job(
        tiny_data, "savers", loss_chunk_tokens=50, activation_checkpointing=True
    )
    assert losses(records)[-1][1] == pytest.approx(losses(undisturbed[1])[-1][1], rel=2e-5)


def test_a_stopped_run_saves_and_goes_on_to_the_same_last_digit(
    tiny_data: Path, undisturbed
) -> None:
    outcome, _, _ = run_job(tiny_data, "stopped", StopAfter(3))
    assert (outcome.finished, outcome.step) == (False, 3)
    assert not (tiny_data / "stopped" / "model").exists()
    outcome, records, reporter = run_job(tiny_data, "stopped")
    assert outcome.finished
    assert "resuming from step-00000003" in reporter.messages
    assert losses(records) == losses(undisturbed[1])
    assert torch.equal(weights(tiny_data / "stopped"), weights(tiny_data / "undisturbed"))


def test_out_of_memory_names_what_to_lower(tiny_data: Path, monkeypatch) -> None:
    from tonsai_pipeline.train.backends.torch_backend import TorchBackend

    def full(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(TorchBackend, "_backward", full)
    with pytest.raises(TrainError, match="out of memory") as caught:
        run_job(tiny_data, "full", micro_batch_rows=8)
    assert "train.micro_batch_rows: 4 (" in str(caught.value)
    assert "train.activation_checkpointing: true (" in str(caught.value)


def weights(folder: Path) -> torch.Tensor:
    from safetensors.torch import load_file

    return torch.cat(
        [v.flatten() for _, v in sorted(load_file(folder / "model" / "model.safetensors").items())]
    )


def test_a_damaged_checkpoint_costs_a_few_steps_and_not_the_run(
    tiny_data: Path, undisturbed
) -> None:
    run_job(tiny_data, "damaged", StopAfter(5))
    newest = tiny_data / "damaged" / "checkpoints" / "step-00000005" / "state" / FIRST_FILE
    newest.write_bytes(newest.read_bytes()[:1000])
    _, records, reporter = run_job(tiny_data, "damaged")
    assert any(f"{FIRST_FILE}: missing or cut short" in m for m in reporter.messages)
    assert "resuming from step-00000004" in reporter.messages
    assert losses(records) == losses(undisturbed[1])


def test_dropout_is_thrown_anew_exactly_after_a_resume(tiny_data: Path) -> None:
    def run(output: str, resume: str) -> list:
        spec = make_run(tiny_data, output, backend="torch")
        model = spec.model.model_copy(update={"dropout": 0.3})
        spec = spec.model_copy(update={"model": model, "resume": resume})
        runs.train(spec)
        return losses(read_metrics(spec.output_dir / "metrics.jsonl"))

    whole = run("dropout", "never")
    shutil.rmtree(tiny_data / "dropout" / "checkpoints" / "step-00000006")
    assert run("dropout", "auto") == whole


def test_resume_required_fails_without_a_checkpoint(tiny_data: Path) -> None:
    spec = make_run(tiny_data, "nothing", backend="torch").model_copy(update={"resume": "required"})
    with pytest.raises(TrainError, match="no whole checkpoint"):
        runs.train(spec)


def test_broken_steps_are_skipped_and_then_end_the_run(tiny_data: Path, monkeypatch) -> None:
    from tonsai_pipeline.train.backends.torch_backend import TorchBackend

    real = TorchBackend._forward
    calls = {"n": 0}

    def sometimes_nan(self, batch):
        nll, z = real(self, batch)
        if not torch.is_grad_enabled():
            return nll, z
        calls["n"] += 1
        broken = calls["n"] == 2 or calls["n"] > 3
        return (nll * math.nan if broken else nll), z

    monkeypatch.setattr(TorchBackend, "_forward", sometimes_nan)
    with pytest.raises(TrainError, match="2 steps in a row up to step 5") as caught:
        run_job(
            tiny_data,
            "nan",
            micro_batch_rows=8,
            guards={"max_skipped_steps": 2, "min_free_gb": 0.0},
        )
    assert caught.value.step == 5
    assert caught.value.checkpoint is not None
    assert caught.value.checkpoint.endswith("step-00000004")
    records = read_metrics(tiny_data / "nan" / "metrics.jsonl")
    by_step = {r["step"]: r for r in records if r["kind"] == "train"}
    assert by_step[2]["loss"] is None
    assert math.isfinite(by_step[3]["loss"])  # the weights survived the broken step
    assert [r["step"] for r in records if r["kind"] == "event"] == [2, 4, 5]


def test_a_batch_that_does_not_fit_the_rows_is_named(tiny_data: Path) -> None:
    with pytest.raises(TrainError, match="multiple of the row length 64"):
        run_job(tiny_data, "misfit", global_batch_tokens=100)
