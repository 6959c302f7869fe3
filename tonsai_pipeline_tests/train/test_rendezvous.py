"""Machines find a training in its folder, join it if they fit, and are taken in later if they came too late."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tonsai_pipeline.defs.models import launcher as asset_launcher
from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.storage import job_folder
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec, launch_command, lend, machines
from tonsai_pipeline.train.launch import rendezvous as meeting
from tonsai_pipeline.train.launch.launcher import read_result
from tonsai_pipeline.train.launch.lend import Lender
from tonsai_pipeline.train.launch.rendezvous import Announcement, Rendezvous, announced

JOB = "tonsai_pipeline.train.job"


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count grows at each call."""
    monkeypatch.setattr(meeting, "BEAT_S", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runs" / "pretrain" / "key"
    made.mkdir(parents=True)
    return made


def announce(path: Path, **changed: Any) -> None:
    said = {
        "module": JOB,
        "folder": str(path),
        "nodes": "1:3",
        "endpoint": "127.0.0.1:29400",
        "id": "one",
        "last_call_s": 30,
        "versions": meeting.versions(),
        "beat": 1,
    }
    (path / "nodes.json").write_text(json.dumps({**said, **changed}))


class Joins:
    """What a lender starts, and what it says; the clock stands at `now`."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, turns: list[Callable[[], Any]]):
        self.specs: list[LaunchSpec] = []
        self.said: list[str] = []
        self.now = 0.0
        waiting = iter(turns)

        def sleep(_: float) -> None:
            turn = next(waiting, None)
            if turn is None:
                raise KeyboardInterrupt
            turn()

        def launch(spec: LaunchSpec, **_: Any) -> LaunchResult:
            self.specs.append(spec)
            return LaunchResult("failed", 1)

        clock = SimpleNamespace(sleep=sleep, monotonic=lambda: self.now)
        monkeypatch.setattr(lend, "time", clock)
        monkeypatch.setattr(lend, "launch", launch)
        self.lender = Lender(
            root, address="127.0.0.2", num_processes=1, grace_s=1.0, say=self.said.append
        )


def test_torchrun_is_told_where_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONSAI_RENDEZVOUS", "trainer:29500")
    place = Rendezvous("2:4").opened()
    command = launch_command(LaunchSpec("m", Path("r"), Path("o"), rendezvous=place))
    options = dict(zip(command[3:15:2], command[4:15:2], strict=True))
    assert options.pop("--rdzv-id")
    conf = options.pop("--rdzv-conf")
    assert conf.startswith("is_host=1,")
    assert options == {
        "--nnodes": "2:4",
        "--rdzv-backend": "c10d",
        "--rdzv-endpoint": "trainer:29500",
        "--local-addr": "trainer",
    }
    assert Rendezvous("2:4").opened().id != place.id


@pytest.mark.parametrize("nodes", ["0", "4:2", "1:2:3", "a", "", "0:2"])
def test_a_number_of_machines_that_is_none_is_refused(nodes: str) -> None:
    with pytest.raises(TrainError, match="nodes"):
        Rendezvous.parse(nodes)


def test_the_launch_form_takes_machines_or_a_hostfile(tmp_path: Path) -> None:
    assert JobOptions().spec(JOB, tmp_path, tmp_path).rendezvous is None
    assert JobOptions(nodes="1:2").spec(JOB, tmp_path, tmp_path).rendezvous == Rendezvous("1:2")
    with pytest.raises(TrainError, match="hostfile"):
        JobOptions(nodes="2", launcher="deepspeed").spec(JOB, tmp_path, tmp_path)


@pytest.mark.usefixtures("always")
def test_a_training_is_announced_while_it_runs(folder: Path) -> None:
    (folder / "knock-old").touch()
    place = Rendezvous("1:2").opened()
    with announced(place, JOB, folder) as is_asked:
        first = Announcement.read(folder / "nodes.json")
        assert not is_asked()
        second = Announcement.read(folder / "nodes.json")
        assert first is not None
        assert second is not None
        assert second.beat > first.beat
        first.check(folder)
        joined = first.joined_from("127.0.0.2")
        assert (joined.id, joined.endpoint, joined.is_host) == (place.id, place.endpoint, False)
        meeting.knock(folder, "127.0.0.2")
        # Whoever meets now finds it by itself.
        assert not is_asked()
        job_folder.write_joined(folder, [{"host": "a", "num_processes": 1}])
        assert is_asked()
        two = [{"host": name, "num_processes": 1} for name in "ab"]
        job_folder.write_joined(folder, two)
        # No more than asked for.
        assert not is_asked()
    assert not (folder / "nodes.json").exists()
    with announced(None, JOB, folder), announced(joined, JOB, folder):
        assert not (folder / "nodes.json").exists()


def test_a_machine_joins_what_lives_and_has_not_begun(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(folder)
    turns = [lambda: None, lambda: announce(folder, beat=2)]
    joins = Joins(tmp_path, monkeypatch, turns)
    with pytest.raises(KeyboardInterrupt):
        joins.lender.run()
    (spec,) = joins.specs
    assert (spec.module, spec.run_file) == (JOB, folder / "run.json")
    assert spec.rendezvous == Rendezvous(
        "1:3", False, "127.0.0.1:29400", "127.0.0.2", "one", last_call_s=30
    )


def test_a_machine_that_comes_late_knocks_and_joins_the_next_start(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(folder)
    (folder / "joined.json").write_text("[]")

    def start_again() -> None:
        (folder / "joined.json").unlink()
        announce(folder, id="two", beat=1)

    turns = [
        lambda: announce(folder, beat=2),
        lambda: announce(folder, beat=3),
        start_again,
        lambda: announce(folder, id="two", beat=2),
    ]
    joins = Joins(tmp_path, monkeypatch, turns)
    with pytest.raises(KeyboardInterrupt):
        joins.lender.run()
    assert (folder / "knock-127.0.0.2").exists()
    assert [spec.rendezvous and spec.rendezvous.id for spec in joins.specs] == ["two"]
    assert sum("asking" in line for line in joins.said) == 1


def test_a_machine_without_which_a_training_goes_on_says_so_and_ends(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(folder)

    def a_minute_later() -> None:
        joins.now = 61.0
        announce(folder, beat=4)

    turns = [
        lambda: announce(folder, beat=2),
        lambda: announce(folder, beat=3),
        a_minute_later,
    ]
    joins = Joins(tmp_path, monkeypatch, turns)
    with pytest.raises(TrainError, match="goes on without it"):
        joins.lender.run()
    assert len(joins.specs) == 1
    assert not list(folder.glob("knock-*"))


def test_a_machine_that_does_not_fit_says_why(tmp_path: Path, folder: Path) -> None:
    announce(folder, folder="/elsewhere/runs/pretrain/key")
    found = Announcement.read(folder / "nodes.json")
    assert found is not None
    with pytest.raises(TrainError, match="mount the shared storage at the same path"):
        found.check(folder)
    announce(folder, versions={**meeting.versions(), "torch": "1.0"})
    found = Announcement.read(folder / "nodes.json")
    assert found is not None
    with pytest.raises(TrainError, match=r"torch .* \(there 1\.0\)"):
        found.check(folder)
    announce(folder, module="os.path")
    with pytest.raises(StorageError, match="not from this version"):
        Announcement.read(folder / "nodes.json")
    with pytest.raises(StorageError, match="no such folder"):
        Lender(tmp_path / "none", address=None, num_processes=1, grace_s=1.0, say=print)


def test_machines_that_see_different_folders_do_not_train(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_PATIENCE_S", 0.0)
    seen = []

    def gather(value: Any) -> list[Any]:
        """The other machine sees this one's marks and leaves its own somewhere else."""
        seen.append(value)
        return [value, ("1", "b", "other") if isinstance(value, tuple) else ""]

    monkeypatch.setattr(machines, "_gather", gather)
    with pytest.raises(TrainError, match="does not see what b wrote; all machines"):
        machines.meet(folder)
    assert not list(folder.glob(".met-*"))
    assert not (folder / "joined.json").exists()
    monkeypatch.setattr(machines.Path, "touch", _refuse)
    with pytest.raises(TrainError, match="cannot write"):
        machines.meet(folder)


def _refuse(*_: object) -> None:
    raise PermissionError("read-only")


def test_a_process_forgets_what_earlier_ones_of_its_place_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in range(5):
        (folder / f"failure-now-{rank}.json").touch()
    (folder / "failure-earlier-1.json").touch()
    (folder / "status.json").touch()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "now")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert job_folder.run_recorded(folder, lambda: None) == 0
    assert {path.name for path in folder.iterdir()} == {
        *(f"failure-now-{rank}.json" for rank in (0, 2, 4)),
        "failure-earlier-1.json",
        "status.json",
    }
    monkeypatch.setenv("RANK", "0")
    job_folder.run_recorded(folder, lambda: None)
    assert [path.name for path in folder.iterdir()] == ["failure-earlier-1.json"]


def test_what_a_machine_says_that_wakes_too_late_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Rendezvous("2").opened()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "earlier")
    job_folder.write_joined(folder, [{"host": "a", "num_processes": 1}])
    job_folder.check_start(folder)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", place.id)
    job_folder.write_joined(folder, [{"host": "b", "num_processes": 1}])
    job_folder.check_start(folder)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "earlier")
    with pytest.raises(TrainError, match="without it") as late:
        job_folder.check_start(folder)
    job_folder.record_error(folder, late.value)
    assert job_folder.has_failed(folder)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", place.id)
    assert not job_folder.has_failed(folder)
    spec = LaunchSpec(JOB, folder / "run.json", folder, rendezvous=place)
    assert read_result(spec, 1).failure == {}
    assert read_result(replace(spec, rendezvous=None), 1).failure["error"] == "TrainError"


def test_who_waits_in_vain_is_told_what_to_do(folder: Path) -> None:
    spec = LaunchSpec(JOB, folder / "run.json", folder, rendezvous=Rendezvous("2").opened())
    result = read_result(spec, 1)
    assert not result.may_retry
    with pytest.raises(TrainError, match=r"fewer than 2 machines came to .* `tonsai node`"):
        result.raise_for_failure()
    job_folder.write_joined(folder, [{"host": "a", "num_processes": 1}])
    assert read_result(spec, 1).may_retry


def test_a_machine_that_leaves_costs_no_retry(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ["interrupted", "interrupted", "failed", "interrupted", "finished"]
    results = iter(LaunchResult(state, 0, status={"step": 3}) for state in states)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(asset_launcher, "_launch_once", lambda *_: next(results))
    silent = SimpleNamespace(info=lambda *_: None, warning=lambda *_: None)
    context: Any = SimpleNamespace(log=silent)
    options = JobOptions(nodes="1:2", max_retries=1)
    result = launch_job(context, options.spec(JOB, folder, folder), options)
    assert result.state == "finished"
    results = iter([LaunchResult("interrupted", 0, status={"step": 3})])
    with pytest.raises(TrainError, match="stopped at step 3"):
        launch_job(context, JobOptions().spec(JOB, folder, folder), options)
