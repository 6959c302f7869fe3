"""Whole runs in this process that meet trouble: spikes, dying saves, unreachable buckets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.backends.torch_backend import TorchBackend
from tonsai_pipeline.train.checkpoints import checkpoint
from tonsai_pipeline.train.loop.feed import RowFeed
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline_tests.train.test_job import losses, run_job

#: Twenty-four steps, saved every fourth; steps of data whose rows make the loss jump.
LONG: dict[str, Any] = {
    "num_epochs": 4.0,
    "checkpoint": {"every_steps": 4, "keep_last": 9},
    "validation": {"every_steps": 100},
}
BAD = range(12, 16)
GUARDS = {
    "min_free_gb": 0.0,
    "spike_window_steps": 8,
    "spike_steps": 2,
    "spike_margin_steps": 1,
}


class BrokenFileSystem(MemoryFileSystem):
    """A bucket that takes nothing."""

    protocol = "broken"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def put_file(self, lpath, rpath, *args, **kwargs):
        raise ConnectionResetError("no route to the bucket")


fsspec.register_implementation("broken", BrokenFileSystem, clobber=True)


@pytest.fixture
def bucket() -> Iterator[None]:
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def read_steps(monkeypatch) -> list[int]:
    """Make the loss jump on the bad rows; the list shows which steps of data were trained on."""
    trained: list[int] = []
    take, step = RowFeed.take, TorchBackend.step

    def remember(self, data_step, following):
        trained.append(data_step)
        return take(self, data_step, following)

    def jump(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        return replace(result, loss=result.loss * 3) if trained[-1] in BAD else result

    monkeypatch.setattr(RowFeed, "take", remember)
    monkeypatch.setattr(TorchBackend, "step", jump)
    return trained


def events(records: list[dict]) -> list[str]:
    return [r["message"] for r in records if r["kind"] == "event"]


def guards(**changes: Any) -> dict[str, Any]:
    return {**LONG, "guards": {**GUARDS, **changes}}


def test_a_spike_is_logged_and_training_goes_on(tiny_data: Path, read_steps: list[int]) -> None:
    outcome, records, _ = run_job(tiny_data, "spike", **guards(on_spike="alert"))
    assert outcome.finished
    assert outcome.num_rollbacks == 0
    assert read_steps == list(range(24))
    (messages,) = events(records)
    assert messages.startswith("loss spike: 2 steps up to 14 above")


def test_a_rollback_skips_the_rows_of_the_spike(tiny_data: Path, read_steps: list[int]) -> None:
    outcome, records, _ = run_job(tiny_data, "rollback", **guards(on_spike="rollback"))
    assert outcome.finished
    assert outcome.num_rollbacks == 2
    # At step 14 back to 8, passing over 11..13; at step 13 again, because 14 and 15 are bad as well.
    assert read_steps[:14] == list(range(14))
    assert read_steps[14:19] == [8, 9, 10, 14, 15]
    assert read_steps[19:] == [8, 9, *range(16, 30)]
    assert [r["step"] for r in records if r["kind"] == "train"] == list(range(1, 25))
    assert len(events(records)) == 2
    assert "rolled back to step 8, the rows of data steps 11..13 are skipped" in events(records)[0]
    newest = read_json(tiny_data / "rollback/checkpoints/step-00000024/manifest.json")
    assert isinstance(newest, dict)
    assert newest["state"]["skips"] == [[10, 16]]
    status = read_json(tiny_data / "rollback" / "status.json")
    assert isinstance(status, dict)
    assert status["num_rollbacks"] == 2


@pytest.mark.parametrize("when", ["killed after the first rollback", "stopped after the second"])
def test_a_run_that_is_interrupted_around_a_rollback_ends_the_same(
    tiny_data: Path, read_steps: list[int], when: str, monkeypatch
) -> None:
    settings = guards(on_spike="rollback")
    _, whole, _ = run_job(tiny_data, f"rollback, not {when}", **settings)
    name = f"rollback, {when}"
    if when.startswith("killed"):
        real = TorchBackend.load

        def dies(self, folder):
            real(self, folder)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(TorchBackend, "load", dies)
            with pytest.raises(KeyboardInterrupt):
                run_job(tiny_data, name, **settings)
    else:

        class StopAtRead23(StopRequest):
            @property
            def is_set(self) -> bool:
                return len(read_steps) - begun == 23

        begun = len(read_steps)
        outcome, _, _ = run_job(tiny_data, name, StopAtRead23(), **settings)
        assert (outcome.finished, outcome.step, outcome.num_rollbacks) == (False, 11, 2)
    outcome, records, _ = run_job(tiny_data, name, **settings)
    assert outcome.finished
    assert outcome.num_rollbacks == 2
    assert losses(records) == losses(whole)


def test_too_many_rollbacks_end_the_run(tiny_data: Path, read_steps: list[int]) -> None:
    with pytest.raises(TrainError, match="after 1 rollbacks") as caught:
        run_job(tiny_data, "rollbacks", **guards(on_spike="rollback", max_rollbacks=1))
    assert caught.value.checkpoint is not None
    assert caught.value.checkpoint.endswith("step-00000008")


def test_a_spike_before_the_first_checkpoint_is_only_logged(
    tiny_data: Path, read_steps: list[int]
) -> None:
    settings = guards(on_spike="rollback")
    settings["checkpoint"] = {"every_steps": 100}
    outcome, records, _ = run_job(tiny_data, "early", **settings)
    assert outcome.finished
    assert "no checkpoint before it, going on" in events(records)[0]


@pytest.mark.parametrize("moment", ["while writing", "while hashing", "before the rename"])
def test_a_job_that_dies_while_saving_goes_on_from_the_save_before(
    tiny_data: Path, moment: str, monkeypatch
) -> None:
    _, whole, _ = run_job(tiny_data, "saves whole")
    name = f"dies {moment}"

    class Killed(BaseException):
        pass

    def once_at_step_4(real):
        def dies(*args, **kwargs):
            folder = next(p for p in (str(a) for a in args) if "checkpoints" in p)
            if "step-00000004" not in folder:
                return real(*args, **kwargs)
            if moment == "while writing":
                (Path(folder) / "state").mkdir()
                (Path(folder) / "state" / "half").write_text("x")
            raise Killed

        return dies

    where = {
        "while writing": (TorchBackend, "save"),
        "while hashing": (checkpoint, "_seal"),
        "before the rename": (checkpoint, "write_json"),
    }[moment]
    with monkeypatch.context() as patched:
        patched.setattr(*where, once_at_step_4(getattr(*where)))
        with pytest.raises(Killed):
            run_job(tiny_data, name)
    assert (tiny_data / name / "checkpoints" / ".tmp-step-00000004").is_dir()
    _, records, reporter = run_job(tiny_data, name)
    assert "resuming from step-00000002" in reporter.messages
    assert losses(records) == losses(whole)
    assert not list((tiny_data / name / "checkpoints").glob(".tmp-*"))


def test_a_machine_without_checkpoints_goes_on_from_the_bucket(
    tiny_data: Path, bucket: None
) -> None:
    settings: Any = {"checkpoint": {"every_steps": 2, "upload_url": "memory://bucket/runs"}}
    _, whole, _ = run_job(tiny_data, "sender", **settings)
    status: Any = read_json(tiny_data / "sender" / "status.json")
    assert status["uploads"]["last_step"] == 6
    assert status["uploads"]["url"] == "memory://bucket/runs/tiny"
    system = fsspec.filesystem("memory")
    names = sorted(path.rsplit("/", 1)[-1] for path in system.ls("/bucket/runs/tiny", False))
    assert names == ["step-00000004", "step-00000006"]
    # The newest copy is cut short: the one before it is taken.
    (cut,) = [p for p in system.find("/bucket/runs/tiny/step-00000006") if "safetensors" in p]
    system.pipe_file(cut, system.cat_file(cut)[:1000])
    _, records, reporter = run_job(tiny_data, "receiver", **settings)
    assert "memory://bucket/runs/tiny/step-00000006: damaged, skipped" in reporter.messages
    assert "downloaded step-00000004 from memory://bucket/runs/tiny" in reporter.messages
    assert "resuming from step-00000004" in reporter.messages
    assert losses(records) == losses(whole)[4:]


def test_the_bucket_is_not_asked_where_this_machine_has_a_checkpoint(
    tiny_data: Path, bucket: None
) -> None:
    settings: Any = {"checkpoint": {"every_steps": 2, "upload_url": "memory://bucket/runs"}}
    run_job(tiny_data, "local first", **settings)
    shutil.rmtree(tiny_data / "local first" / "checkpoints" / "step-00000006")
    _, _, reporter = run_job(tiny_data, "local first", **settings)
    assert "resuming from step-00000004" in reporter.messages
    assert not any(m.startswith("downloaded") for m in reporter.messages)


def test_the_last_checkpoint_of_a_run_that_fails_still_reaches_the_bucket(
    tiny_data: Path, bucket: None, monkeypatch
) -> None:
    settings: Any = {"every_steps": 2, "upload_url": "memory://bucket/runs"}
    real = TorchBackend.step

    def broken(self, *args, **kwargs):
        result = real(self, *args, **kwargs)
        return replace(result, applied=False) if kwargs["lr"] < 1e-3 else result

    monkeypatch.setattr(TorchBackend, "step", broken)
    with pytest.raises(TrainError, match="not finite"):
        run_job(
            tiny_data,
            "fails",
            checkpoint=settings,
            schedule={"warmup_frac": 0.0, "decay_frac": 0.5},
            guards={"max_skipped_steps": 1, "min_free_gb": 0.0},
        )
    names = fsspec.filesystem("memory").ls("/bucket/runs/tiny", False)
    assert [name.rsplit("/", 1)[-1] for name in names] == ["step-00000002", "step-00000004"]


def test_a_bucket_that_takes_nothing_does_not_stop_training_and_is_logged(tiny_data: Path) -> None:
    settings: Any = {
        "checkpoint": {"every_steps": 2, "upload_url": "broken://bucket", "upload_attempts": 1}
    }
    outcome, records, reporter = run_job(tiny_data, "no bucket", **settings)
    assert outcome.finished
    status: Any = read_json(tiny_data / "no bucket" / "status.json")
    assert status["uploads"]["last_step"] == -1
    assert status["uploads"]["num_failed"] == 3
    assert "no route to the bucket" in status["uploads"]["last_error"]
    messages = [m for m in reporter.messages if "was not uploaded" in m]
    assert len(messages) == 3
    assert messages == [m for m in events(records) if "was not uploaded" in m]
    assert [r for r in records if r["kind"] == "train"][-1]["uploads_failed"] >= 1


def test_the_parts_of_a_steps_time_sum_to_the_whole(tiny_data: Path) -> None:
    _, records, _ = run_job(tiny_data, "split", **LONG, metrics={"log_every_steps": 4})
    trained = [r for r in records if r["kind"] == "train"]
    assert len(trained) == 6
    for record in trained:
        parts = record["split_s"]
        assert {"data", "wait", "compute", "update", "other"} <= set(parts)
        assert min(parts.values()) >= 0.0
        assert sum(parts.values()) == pytest.approx(record["wall_s"], rel=0.02, abs=0.02)
        step_s = sum(parts[name] for name in ("data", "wait", "compute", "update"))
        assert record["data_frac"] == pytest.approx(parts["data"] / step_s)
        assert record["step_s"] == pytest.approx(step_s / 4)
    assert "save" in trained[1]["split_s"]


def test_the_metrics_of_a_run_rolled_back_hold_each_step_once(
    tiny_data: Path, read_steps: list[int]
) -> None:
    run_job(tiny_data, "once", **guards(on_spike="rollback"), metrics={"tensorboard": True})
    records = read_metrics(tiny_data / "once" / "metrics.jsonl")
    steps = [(r["kind"], r["step"]) for r in records if r["kind"] != "event"]
    assert len(steps) == len(set(steps))
