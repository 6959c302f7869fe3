"""Starting a job as processes of its own, watching it, and stopping it so that nothing is left behind.

    LaunchSpec ──torchrun──▶ a process group ──status.json──▶ LaunchResult
                  poll ▲          │ cancel: SIGTERM to the group, wait for the save, SIGKILL to what is left

Knows no torch: the CLI, tests and a Dagster resource drive it alike. Success is what `status.json` says and
never an exit code: launchers return 0 after a kill, and 1 after a stop that saved.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import (
    STATUS_NAME,
    first_failure,
    forget_last_run,
    read_joined,
)
from tonsai_pipeline.train.launch.rendezvous import Rendezvous, announced

_PR_SET_PDEATHSIG = 1
#: OpenMP's threads sleep while they wait for each other. By default they look again and again, and take the cores from
#: whatever else runs, and from the very threads that are waited for: five to eight times slower on a busy machine
#: (`benchmarks/threads.py`; docs/runbook.md, "A busy machine").
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
_POLL_S = 0.2


@dataclass(frozen=True)
class LaunchSpec:
    """What to start.

    Args:
        module: The job, for example `tonsai_pipeline.train.job`.
        run_file: Its RUN.json.
        output_dir: Where it leaves `status.json`.
        num_processes: Processes on this machine; 0: one per GPU, or one where there is none.
        launcher: torchrun, for one machine or several; deepspeed, for several by ssh and a hostfile; python,
            one plain process (an evaluation needs no group).
        hostfile: One `host slots=N` a line; deepspeed only.
        rendezvous: Where several machines meet (torchrun); None for this one alone.
        threads_per_process: CPU threads of each process; 0: all cores divided evenly.
    """

    module: str
    run_file: Path
    output_dir: Path
    num_processes: int = 1
    launcher: Literal["torchrun", "deepspeed", "python"] = "torchrun"
    hostfile: Path | None = None
    rendezvous: Rendezvous | None = None
    threads_per_process: int = 0


@dataclass(frozen=True)
class LaunchResult:
    """How the job ended.

    Args:
        state: finished; interrupted (stopped by a signal after saving); failed.
        exit_code: Of the launcher; for the log only.
        status: The content of `status.json`; empty when the job failed.
        failure: What the first failing process left: error, message, step, checkpoint, traceback.
    """

    state: Literal["finished", "interrupted", "failed"]
    exit_code: int
    status: Mapping[str, Any] = field(default_factory=dict)
    failure: Mapping[str, Any] = field(default_factory=dict)

    @property
    def may_retry(self) -> bool:
        """Whether the same command may succeed: after a crash or a hang, not after an error that was named."""
        has_reason = bool(self.failure.get("is_ours"))
        return self.state == "failed" and bool(self.failure.get("may_retry", not has_reason))

    def raise_for_failure(self) -> None:
        """Raise unless the job finished.

        Raises:
            TrainError: With the step and the last good checkpoint, where they are known.
        """
        if self.state == "finished":
            return
        if self.state == "interrupted":
            raise TrainError(
                f"stopped at step {self.status.get('step')}; the same command goes on from there",
                step=self.status.get("step"),
                checkpoint=self.status.get("checkpoint"),
            )
        known = self.failure.get("message")
        if known and self.failure.get("host", socket.gethostname()) != socket.gethostname():
            known = f"{known} (on {self.failure['host']})"
        raise TrainError(
            f"{self.failure['error']}: {known}"
            if known
            else f"the job ended with exit code {self.exit_code} and left no reason; out of memory is the usual one",
            step=self.failure.get("step"),
            checkpoint=self.failure.get("checkpoint"),
        )


def launch(
    spec: LaunchSpec,
    *,
    env: Mapping[str, str] | None = None,
    on_poll: Callable[[], None] | None = None,
    grace_s: float = 120.0,
) -> LaunchResult:
    """Run a job to its end.

    Any exception that arrives while it runs (Ctrl-C, a cancelled Dagster run, one raised by `on_poll`) stops
    the job first, with time to save, and is then raised again. A machine that asks to take part stops it likewise:
    the result is `interrupted`, and whoever started it starts it again. Should this process itself be killed, the
    kernel sends the launcher SIGTERM; call from the main thread, because that promise is the thread's.

    Args:
        spec: What to start.
        env: Added to this process's environment.
        on_poll: Called about five times a second while the job runs.
        grace_s: Seconds that a stopped job has for saving before it is killed.

    Raises:
        TrainError: The launcher cannot be started.
    """
    place = spec.rendezvous and spec.rendezvous.opened()
    spec = replace(spec, rendezvous=place)
    spec.output_dir.mkdir(parents=True, exist_ok=True)
    if place is None or place.is_host:
        forget_last_run(spec.output_dir)
    with announced(place, spec.module, spec.output_dir) as is_asked:
        started = _start(spec, env or {}, grace_s)
        try:
            while started.poll() is None and not is_asked():
                if on_poll is not None:
                    on_poll()
                time.sleep(_POLL_S)
        except BaseException:
            with _undisturbed():
                stop_group(started, grace_s)
            raise
        # A launcher that is gone may leave a worker, which would hold a GPU.
        with _undisturbed():
            stop_group(started, grace_s)
        return read_result(spec, started.returncode)


def launch_command(spec: LaunchSpec) -> list[str]:
    """Return the command line.

    Example:
        >>> spec = LaunchSpec("m.job", Path("run.json"), Path("out"), num_processes=2)
        >>> launch_command(spec)[1:]
        ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '-m', '--', 'm.job', '--run', 'run.json']
    """
    job = [spec.module, "--run", str(spec.run_file)]
    if spec.launcher == "python":
        return [sys.executable, "-m", *job]
    if spec.launcher == "deepspeed":
        hosts = ["--hostfile", str(spec.hostfile)] if spec.hostfile else []
        count = ["--num_gpus", str(spec.num_processes)] if spec.num_processes else []
        return [sys.executable, "-m", "deepspeed.launcher.runner", *hosts, *count, "--module", *job]
    place = ["--standalone"] if spec.rendezvous is None else spec.rendezvous.arguments()
    count = str(_num_processes(spec))
    # The dashes keep torchrun from reading --run as a short form of its own --run-path.
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *place,
        "--nproc-per-node",
        count,
        "-m",
        "--",
        *job,
    ]


def read_result(spec: LaunchSpec, exit_code: int) -> LaunchResult:
    """Say how a job ended, from what it left in its output folder."""
    folder = spec.output_dir
    try:
        status = cast("dict[str, Any]", read_json(folder / STATUS_NAME))
    except StorageError:
        place = spec.rendezvous
        failure = first_failure(folder, place.id if place else "*")
        if not failure and place is not None and not read_joined(folder):
            nobody = place.nobody_came()
            failure = {"error": "TrainError", "message": nobody, "is_ours": True}
        return LaunchResult("failed", exit_code, failure=failure)
    return LaunchResult(status["state"], exit_code, status=status)


def stop_group(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask a process group to end, wait until it is empty, kill what is left.

    Args:
        process: Its leader, started in a session of its own.
        grace_s: Seconds between asking and killing.
    """
    group = process.pid
    _signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _is_alive(process, group):
        if time.monotonic() > deadline:
            _signal_group(group, signal.SIGKILL)
            process.wait()
            return
        time.sleep(_POLL_S / 4)


def _start(spec: LaunchSpec, env: Mapping[str, str], grace_s: float) -> subprocess.Popen[bytes]:
    threads = spec.threads_per_process or max(1, _num_cores() // max(1, _num_processes(spec)))
    full = {
        "OMP_NUM_THREADS": str(threads),
        **waiting_policy(os.environ),
        "PYTHONUNBUFFERED": "1",
        # Else a file of the working folder that is named as a module is imported in its place.
        "PYTHONSAFEPATH": "1",
        # torchrun kills workers that are still saving after 30 s unless asked to wait.
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(int(grace_s)),
        **os.environ,
        **env,
    }
    try:
        return subprocess.Popen(
            launch_command(spec),
            env=full,
            start_new_session=True,
            # Could deadlock on a lock that another thread holds across the fork; it takes none.
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )
    except OSError as error:
        raise TrainError(f"cannot start {spec.launcher}: {error}") from error


def waiting_policy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what makes waiting threads give way to others, unless a person chose a policy.

    Example:
        >>> waiting_policy({}), waiting_policy({"OMP_WAIT_POLICY": "ACTIVE"})
        ({'OMP_WAIT_POLICY': 'PASSIVE'}, {})
    """
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        return {}
    return dict(_WAITING)


def _die_with_parent() -> None:
    """Between fork and exec: default signals, and SIGTERM should the parent die."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_alive(process: subprocess.Popen[bytes], group: int) -> bool:
    process.poll()
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back further interrupts: a second Ctrl-C must not cut off the save that the first one asked for."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _num_processes(spec: LaunchSpec) -> int:
    return spec.num_processes or max(1, num_gpus())


def num_gpus() -> int:
    """Count the GPUs this process may use, without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip()])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
