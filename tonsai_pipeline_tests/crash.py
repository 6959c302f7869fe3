"""Killing a stage in the middle: run it in a process of its own, end that with SIGKILL, run it again, compare.

    assert_survives_kills("my.module:run", arguments, tmp_path, kills=[1, 2, 5])

`run(home, *arguments)` does one stage through `Store.materialize` and returns the artifact; it lives in a
module that can be imported, with two workers it is killed from outside and with one from inside.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store

_WAIT_S = 120.0


def home(folder: Path) -> Store:
    """A store in a folder, for a recipe named `test`."""
    return Store(Layout(folder, "test"))


def content(artifact: Artifact) -> dict[str, bytes]:
    """Every file of an artifact's folder with its bytes, but what differs from run to run anyway."""
    files = sorted(path for path in artifact.path.rglob("*") if path.is_file())
    return {
        path.relative_to(artifact.path).as_posix(): path.read_bytes()
        for path in files
        if path.name != "timings.json"
    }


def assert_survives_kills(
    function: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    kills: Sequence[int],
    at_least: int = 1,
) -> None:
    """Kill a stage behind its n-th finished file for every n, each time going on from there; compare.

    Args:
        function: "module:name" of `run(store, *arguments) -> Artifact`.
        arguments: Strings that `run` gets behind the store.
        folder: An empty folder.
        kills: The process kills itself just before, and once more just after, it renames its n-th file
            into place, counted anew in each run.
        at_least: Runs that must really have been killed; fewer mean that the stage was done too early.
    """
    undisturbed = content(_run(function, home(folder / "undisturbed"), arguments))
    disturbed = folder / "disturbed"
    plan = ",".join(f"{moment}:{number}" for number in kills for moment in ("before", "after"))
    process = _start(function, disturbed, arguments, plan)
    assert process.wait(_WAIT_S) == 0
    statuses = [int(status) for status in (folder / "disturbed.txt").read_text().split()]
    assert set(statuses) <= {0, -signal.SIGKILL}, f"the stage failed: {statuses}"
    assert statuses.count(-signal.SIGKILL) >= at_least, f"the stage was done too early: {statuses}"
    assert content(_run(function, home(disturbed), arguments)) == undisturbed


def assert_survives_a_kill_from_outside(
    function: str, arguments: Sequence[str], folder: Path, *, pattern: str, asset: str = "*"
) -> None:
    """Kill a stage and its workers as soon as a file that matches `pattern` is there; compare.

    Args:
        function: "module:name" of `run(store, *arguments) -> Artifact`.
        arguments: Strings that `run` gets behind the store.
        folder: An empty folder.
        pattern: Glob below the data root, for example `building/**/part-*.parquet`.
        asset: The asset that must not be finished when the kill comes; all, if the stage makes only one.
    """
    undisturbed = content(_run(function, home(folder / "undisturbed"), arguments))
    disturbed = folder / "disturbed"
    process = _start(function, disturbed, arguments, "")
    started = time.monotonic()
    while not any(disturbed.glob(pattern)):
        assert process.poll() is None, "the stage ended before it could be killed"
        assert time.monotonic() - started < _WAIT_S, f"no file like {pattern}"
        time.sleep(0.002)
    process.kill()
    assert process.wait(_WAIT_S) == -signal.SIGKILL, "the stage ended before it could be killed"
    assert not list(disturbed.glob(f"artifacts/{asset}/*/*/manifest.json"))
    assert content(_run(function, home(disturbed), arguments)) == undisturbed


def _run(function: str, store: Store, arguments: Sequence[str]) -> Artifact:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(store, *arguments)


def _start(
    function: str, folder: Path, arguments: Sequence[str], plan: str
) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tonsai_pipeline_tests.crash",
            plan,
            function,
            str(folder),
            *arguments,
        ],
        env={**os.environ, "PYTHONPATH": path},
    )


def _run_and_die(
    kills: Sequence[str], function: str, folder: Path, arguments: Sequence[str]
) -> None:
    """Run the stage once for every kill, each time in a fork of this process: imports are paid once."""
    for module in (function.partition(":")[0], "pandas"):  # pyarrow imports it with its first array
        importlib.import_module(module)
    statuses = []
    for kill in kills:
        moment, _, number = kill.partition(":")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _die_at_rename(moment, int(number))
                _run(function, home(folder), arguments)
                status = 0
            finally:
                os._exit(status)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    folder.with_name(f"{folder.name}.txt").write_text(" ".join(map(str, statuses)))


def _die_at_rename(moment: str, number: int) -> None:
    """Make this process kill itself around its n-th rename: the moments between which work can be lost."""
    replace = os.replace
    num_left = number

    def deadly(*arguments: Any, **options: Any) -> None:
        nonlocal num_left
        num_left -= 1
        if num_left == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments, **options)
        if num_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = deadly  # pathlib's replace calls it too


if __name__ == "__main__":
    plan, function, folder, *arguments = sys.argv[1:]
    if plan:
        _run_and_die(plan.split(","), function, Path(folder), arguments)
    else:
        _run(function, home(Path(folder)), arguments)
