"""A launched job is believed by its status file, gets time to save when stopped, and leaves no process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec, launch, launch_command, launcher


def start(
    folder: Path, do: str, on_poll: Callable[[], None] | None = None, grace_s: float = 20.0
) -> LaunchResult:
    return launch(make_spec(folder, do), on_poll=on_poll, grace_s=grace_s)


def make_spec(folder: Path, do: str) -> LaunchSpec:
    run = folder / "run.json"
    run.write_text(json.dumps({"output_dir": str(folder), "do": do}))
    return LaunchSpec("tonsai_pipeline_tests.train.fake_job", run, folder, launcher="python")


def is_gone(path: Path) -> bool:
    """Whether the process whose number is in a file has ended."""
    try:
        return psutil.Process(int(path.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


class Cancelled(BaseException):
    """What an orchestrator throws into a running step."""


def cancel_when_ready(folder: Path) -> Callable[[], None]:
    def poll() -> None:
        if (folder / "ready").exists():
            raise Cancelled

    return poll


def test_the_status_file_decides_and_not_the_exit_code(tmp_path: Path) -> None:
    result = start(tmp_path, "finish")
    assert (result.state, result.exit_code) == ("finished", 9)
    result.raise_for_failure()


def test_a_file_of_the_working_folder_named_as_a_module_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('mine')\n")
    monkeypatch.chdir(tmp_path)
    assert start(tmp_path, "finish").state == "finished"


def test_an_old_status_file_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"state": "finished"}')
    result = start(tmp_path, "vanish")
    assert result.state == "failed"
    with pytest.raises(TrainError, match="left no reason; out of memory"):
        result.raise_for_failure()


def test_the_process_that_knows_the_cause_is_quoted(tmp_path: Path) -> None:
    result = start(tmp_path, "fail")
    with pytest.raises(TrainError, match="DataError: bad row") as caught:
        result.raise_for_failure()
    assert caught.value.step == 7


def test_a_crash_is_worth_another_try_and_a_named_error_is_not(tmp_path: Path) -> None:
    assert start(tmp_path, "vanish").may_retry
    assert not start(tmp_path, "fail").may_retry
    assert not start(tmp_path, "finish").may_retry


def test_a_cancelled_job_saves_before_it_ends(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        start(tmp_path, "wait", cancel_when_ready(tmp_path))
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "interrupted"
    assert is_gone(tmp_path / "pid")


def test_a_second_interrupt_does_not_cut_off_the_save(tmp_path: Path) -> None:
    def interrupt_twice() -> None:
        if (tmp_path / "ready").exists():
            subprocess.Popen(["sh", "-c", f"sleep 0.1; kill -INT {os.getpid()}"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, "wait", interrupt_twice)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "interrupted"


def test_a_job_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        start(tmp_path, "ignore", cancel_when_ready(tmp_path), grace_s=0.5)
    wait_for(lambda: is_gone(tmp_path / "pid"))


def test_a_process_that_outlives_the_job_is_ended(tmp_path: Path) -> None:
    assert start(tmp_path, "leave_child").state == "finished"
    wait_for(lambda: is_gone(tmp_path / "child"))


def test_the_job_is_logged_to_save_when_its_starter_is_killed(tmp_path: Path) -> None:
    make_spec(tmp_path, "wait")
    code = (
        "from pathlib import Path; from tonsai_pipeline.train.launch import *; p = Path(r'%s');"
        "launch(LaunchSpec('tonsai_pipeline_tests.train.fake_job', p/'run.json', p, launcher='python'))"
    )
    starter = subprocess.Popen([sys.executable, "-c", code % tmp_path])
    wait_for((tmp_path / "ready").exists)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_for(lambda: is_gone(tmp_path / "pid"))
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "interrupted"


def test_deepspeed_gets_its_hostfile() -> None:
    spec = LaunchSpec(
        "m", Path("r"), Path("o"), launcher="deepspeed", hostfile=Path("hosts"), num_processes=4
    )
    command = launch_command(spec)
    assert command[command.index("--hostfile") + 1] == "hosts"
    assert command[-4:] == ["--module", "m", "--run", "r"]


def test_launching_needs_no_torch() -> None:
    code = (
        "import sys, tonsai_pipeline.train.launch, tonsai_pipeline.planner.network, tonsai_pipeline.train.spec,"
        "tonsai_pipeline.evaluate.spec; sys.exit(any(n in sys.modules for n in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_waiting_threads_of_a_job_sleep_unless_a_person_chose(tmp_path: Path, monkeypatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    seen = {}

    class Started:
        def __init__(self, command, env, **_):
            seen.update(env)

    monkeypatch.setattr(launcher.subprocess, "Popen", Started)
    launcher._start(make_spec(tmp_path, "finish"), {}, 1.0)
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    seen.clear()
    launcher._start(make_spec(tmp_path, "finish"), {}, 1.0)
    assert (seen["GOMP_SPINCOUNT"], seen.get("OMP_WAIT_POLICY")) == ("7", None)
