"""Every fault in every stage: what is left behind, what a person sees, whether it goes on to the same bytes.

    uv run python -m tonsai_pipeline_tests.faults                        all of them, an hour
    uv run python -m tonsai_pipeline_tests.faults worker --stages tokenizer,pretrained_model

A run is stopped in a stage, behind its work and before that is published, or with its training or evaluation
at work; then the fault, then the same job again. At the end every artifact is compared with those of an undisturbed home.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tonsai_pipeline.missing import CORPUS_ASSETS, DUMP_ASSETS, MODEL_ASSETS
from tonsai_pipeline.storage.store import load_artifact
from tonsai_pipeline_tests.daemon import RECIPE, Daemon, documents

STAGES = (*DUMP_ASSETS, *CORPUS_ASSETS[1:], *MODEL_ASSETS)
_JOBS = ("tonsai_pipeline.train.job", "tonsai_pipeline.evaluate.job")
#: Long enough to be met at work; the guard of training would stop before the disk is full.
_LONGER = RECIPE.replace("20_480", "204_800, guards: {min_free_gb: 0}")
_DISK_BYTES = 400_000_000


class Faults:
    """A daemon whose runs stop where they are told to.

    Args:
        folder: Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self._pause = folder / "pause"
        self._at = folder / "pause.at"
        self._ballast = folder / "ballast"
        self.daemon = Daemon(
            folder,
            module="tonsai_pipeline_tests.paused_definitions",
            recipe=_LONGER,
            environment={"TONSAI_PAUSE": str(self._pause)},
        )
        self.daemon.drop("news@20261101", documents(20, 1))

    def reach(self, stage: str) -> tuple[str, int]:
        """Launch the job of a stage, and wait until it makes that anew; return the run and its process."""
        self._at.unlink(missing_ok=True)
        root = self.daemon.store.layout.root
        shutil.rmtree(root / "artifacts" / stage, ignore_errors=True)
        if stage == MODEL_ASSETS[0]:
            shutil.rmtree(root / "runs", ignore_errors=True)
        self._pause.write_text(stage)
        run_id = self.daemon.launch("everything" if stage in MODEL_ASSETS else "build_corpus")
        return run_id, self.arrive(stage)

    def arrive(self, stage: str) -> int:
        """Wait until a run is in a stage; return its process."""
        self.daemon.wait(self._at.exists, f"{stage} is reached", every_s=0.1)
        if stage in MODEL_ASSETS:
            self.daemon.wait(self._job_works, f"the job of {stage}", every_s=0.1)
        return int(self._at.read_text().split()[1])

    def move_on(self) -> None:
        """Let the run go on."""
        self._pause.unlink()

    def fill(self) -> None:
        """Leave no byte on the disk."""
        with self._ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65_536)
                    file.flush()
            except OSError:
                pass

    def free(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink(missing_ok=True)

    def check(self, what: str) -> None:
        """See that nothing is half-published, and no job is left whose run has ended."""
        self.daemon.wait(lambda: not any(map(self.daemon.processes, _JOBS)), f"{what}: no orphan")
        versions(self.daemon.store.layout.root)

    def status(self, run_id: str) -> str:
        """Return the status of a run."""
        return next(run["status"] for run in self.daemon.runs() if run["runId"] == run_id)

    def ends(self, run_id: str) -> str:
        """Wait for the end of a run, and of what Dagster starts in its place."""
        self.daemon.wait(self.daemon.is_idle, f"the end of {run_id}")
        return self.status(run_id)

    def _job_works(self) -> bool:
        return any(map(self.daemon.processes, _JOBS))


def kill_worker(faults: Faults, stage: str) -> str:
    """The run's process is killed; Dagster starts the run again."""
    run_id, pid = faults.reach(stage)
    num = len(faults.daemon.runs())
    os.kill(pid, signal.SIGKILL)
    faults.move_on()
    faults.daemon.wait(lambda: len(faults.daemon.runs()) > num, "the run in its place")
    return faults.ends(run_id) + ", then " + faults.daemon.runs()[0]["status"]


def cancel(faults: Faults, stage: str) -> str:
    """A person presses Terminate."""
    run_id, _ = faults.reach(stage)
    faults.daemon.cancel(run_id)
    faults.move_on()
    return faults.ends(run_id)


def fill_disk(faults: Faults, stage: str) -> str:
    """The disk is full when the stage publishes, then freed."""
    run_id, _ = faults.reach(stage)
    faults.fill()
    faults.move_on()
    time.sleep(5)
    faults.free()
    return faults.ends(run_id)


def kill_code_server(faults: Faults, stage: str) -> str:
    """The code server is killed; the run goes on, another server comes."""
    run_id, _ = faults.reach(stage)
    faults.daemon.kill("api grpc")
    faults.daemon.wait(lambda: not faults.daemon.is_loaded(), "it is noticed")
    faults.move_on()
    faults.daemon.wait(faults.daemon.is_loaded, "another code server")
    return faults.ends(run_id)


def _kill_service(faults: Faults, stage: str, service: str) -> str:
    run_id, _ = faults.reach(stage)
    faults.daemon.kill(service)
    faults.daemon.wait(lambda: not faults.daemon.processes("dagster dev "), "dagster dev ends")
    faults.move_on()
    faults.daemon.start()
    return faults.ends(run_id)


def kill_daemon(faults: Faults, stage: str) -> str:
    """The daemon is killed; `dagster dev` ends, the run goes on, `dagster dev` is started again."""
    return _kill_service(faults, stage, "dagster._daemon")


def kill_web_server(faults: Faults, stage: str) -> str:
    """The web server is killed; `dagster dev` ends, the run goes on, `dagster dev` is started again."""
    return _kill_service(faults, stage, "dagster_webserver")


FAULTS: Mapping[str, Callable[[Faults, str], str]] = {
    "worker": kill_worker,
    "cancel": cancel,
    "disk": fill_disk,
    "code_server": kill_code_server,
    "daemon": kill_daemon,
    "web_server": kill_web_server,
}


def versions(root: Path) -> dict[str, str]:
    """Return what each published artifact holds, a model by its weights; one that is half there raises.

    Logs and times belong to the files of models and their reports, and differ from run to run.
    """
    folders = [path for path in (root / "artifacts").glob("*/*/*") if path.is_dir()]
    found = {}
    for artifact in map(load_artifact, folders):
        weights = [f.sha256 for f in artifact.manifest.files if f.path == "model/model.safetensors"]
        of_models = artifact.manifest.asset in MODEL_ASSETS
        said = str(artifact.report.get("bits_per_byte"))
        found[artifact.place] = (weights or [said])[0] if of_models else artifact.data_version
    return found


def undisturbed(folder: Path, daemon: Daemon) -> dict[str, str]:
    """Make the same in another home, by the command line, twice at once."""
    home = folder / "undisturbed"
    shutil.copytree(daemon.store.layout.inbox, home / "inbox" / "r")
    command = [sys.executable, "-m", "tonsai_pipeline", "run", "-r", "recipe.yaml", "--home", home]
    both = [subprocess.Popen(command, cwd=folder, env=daemon.environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], "two runs at once"
    return versions(home)


def main(named: list[str], stages: list[str], folder: Path) -> None:
    """Make faults in stages, and compare what comes of it."""
    faults = Faults(folder)
    daemon = faults.daemon
    try:
        expected = undisturbed(folder, daemon)
        sys.stdout.write(f"two runs at once: {len(expected)} artifacts\n")
        daemon.start()
        for name in named:
            for stage in stages:
                started = time.monotonic()
                said = FAULTS[name](faults, stage)
                faults.check(f"{name} in {stage}")
                took = time.monotonic() - started
                sys.stdout.write(f"{name:<12} {stage:<24} {took:6.0f} s  {said}\n")
                sys.stdout.flush()
            daemon.launch("everything")
            daemon.wait(daemon.is_idle, "the last run")
            found = versions(daemon.store.layout.root)
            differ = sorted(place for place in expected if found.get(place) != expected[place])
            sys.stdout.write(f"{name:<12} {len(found)} artifacts, {len(differ)} differ {differ}\n")
        daemon.stop()
        assert not daemon.processes(), "processes stayed behind"
    finally:
        daemon.kill("")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", default=list(FAULTS), help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--stages", default=",".join(STAGES), help="with commas")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="tonsai-faults-"))
    if "disk" in given.faults:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", place], check=True
        )
    try:
        main(given.faults, given.stages.split(","), place)
    finally:
        if "disk" in given.faults:
            subprocess.run(["umount", "-l", place], check=True)
        shutil.rmtree(place, ignore_errors=True)
