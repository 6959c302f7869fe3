"""Every fault in every stage: what is left behind, what a person sees, whether it goes on to the same bytes.

    uv run python -m tonsai_pipeline_tests.faults                        all of them, an hour
    uv run python -m tonsai_pipeline_tests.faults worker --stages tokenizer,pretrained_model

A run stops in a stage, behind its work and before that is published, or with its training or evaluation at work; then
the fault. What kills a run has a run a stage, started again by Dagster; a fault that a run survives strikes one run in each
of its stages; Terminate strikes one run after the other. At the end of each fault, every artifact is compared with those of an undisturbed home.
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
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tonsai_pipeline.missing import CORPUS_ASSETS, DUMP_ASSETS, MODEL_ASSETS
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.store import load_artifact
from tonsai_pipeline_tests.daemon import RECIPE, Daemon, documents

STAGES = (*DUMP_ASSETS, *CORPUS_ASSETS[1:], *MODEL_ASSETS)
_DUMP = "news@20261101"
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
        self._stops: set[str] = set()
        self.stage, self.pid, self.run_id = "", 0, ""
        self.daemon = Daemon(
            folder,
            module="tonsai_pipeline_tests.paused_definitions",
            recipe=_LONGER,
            environment={"TONSAI_PAUSE": str(self._pause)},
        )
        self.dump = self.daemon.drop(_DUMP, documents(20, 1))

    def forget(self, stages: Collection[str]) -> None:
        """Delete what stages made, so that a run makes it anew and stops there."""
        root = self.daemon.store.layout.root
        for stage in stages:
            shutil.rmtree(root / "artifacts" / stage, ignore_errors=True)
        if MODEL_ASSETS[0] in stages:
            shutil.rmtree(root / "runs", ignore_errors=True)
        self._stop_at(stages)

    def meet(self) -> None:
        """Wait until a run is in one of the stages where it is to stop; launch one if none is at work."""
        if self.daemon.is_idle():
            with_model = self._stops & set(MODEL_ASSETS)
            self.run_id = self.daemon.launch("everything" if with_model else "build_corpus")
        self.daemon.wait(self._at.exists, f"one of {self._stops} is reached", every_s=0.1)
        self.stage, pid = self._at.read_text().split()
        self.pid = int(pid)
        if self.stage in MODEL_ASSETS:
            self.move_on()
            self.daemon.wait(self._job_works, f"the job of {self.stage}", every_s=0.1)

    def move_on(self) -> None:
        """Let the run go on to the next stage where it is to stop."""
        self._at.unlink(missing_ok=True)
        self._stop_at(self._stops - {self.stage})

    def fill(self) -> None:
        """Leave no byte on the disk."""
        # Without a buffer, which would be written once more when the file is closed.
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)

    def free(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink(missing_ok=True)

    def check(self) -> None:
        """See that nothing is half-published, and no job is left whose run has ended."""
        if self.daemon.is_idle():
            self.daemon.wait(lambda: not self._job_works(), f"{self.stage}: no orphan")
        versions(self.daemon.store.layout.root)

    def status(self) -> str:
        """Return the status of the run that the fault met."""
        return next(run["status"] for run in self.daemon.runs() if run["runId"] == self.run_id)

    def end(self) -> str:
        """Wait for the end of all runs; return the status of the newest."""
        self.daemon.wait(self.daemon.is_idle, "the end of the runs")
        return self.daemon.runs()[0]["status"]

    def _stop_at(self, stages: Collection[str]) -> None:
        self._stops = set(stages)
        new = self._pause.with_suffix(".new")
        new.write_text("\n".join(stages))
        new.replace(self._pause)

    def _job_works(self) -> bool:
        return any(map(self.daemon.processes, _JOBS))


def kill_worker(faults: Faults) -> str:
    """The run's process is killed; Dagster starts the run again."""
    num = len(faults.daemon.runs())
    os.kill(faults.pid, signal.SIGKILL)
    faults.move_on()
    faults.daemon.wait(lambda: len(faults.daemon.runs()) > num, "the run in its place")
    last = faults.end()
    return f"{faults.status()}, then {last}"


def fill_disk(faults: Faults) -> str:
    """The disk is full when the stage publishes, then freed; Dagster starts a run that failed again."""
    num = len(faults.daemon.runs())
    faults.fill()
    faults.move_on()
    time.sleep(5)
    faults.free()
    faults.daemon.wait(faults.daemon.is_idle, "the end of the run")
    if faults.status() == "FAILURE":
        faults.daemon.wait(lambda: len(faults.daemon.runs()) > num, "the run in its place")
    last = faults.end()
    return f"{faults.status()}, then {last}"


def cancel(faults: Faults) -> str:
    """A person presses Terminate, and later Launch."""
    faults.daemon.cancel(faults.run_id)
    faults.move_on()
    return faults.end()


def replace_dump(faults: Faults) -> str:
    """The file of the dump is another one before what was read of it is published; then it is put back."""
    kept = faults.daemon.folder / "kept"
    shutil.copy2(faults.dump, kept)
    faults.daemon.drop(_DUMP, documents(15, 3))
    faults.move_on()
    last = faults.end()
    said = f"{faults.status()}, then {last} with {faults.daemon.corpus_documents()} documents"
    shutil.copy2(kept, faults.dump)
    return said


def kill_code_server(faults: Faults) -> str:
    """The code server is killed; the run goes on, another server comes."""
    faults.daemon.kill("api grpc")
    faults.daemon.wait(lambda: not faults.daemon.is_loaded(), "it is noticed", every_s=0.2)
    faults.move_on()
    faults.daemon.wait(faults.daemon.is_loaded, "another code server", every_s=0.2)
    return faults.status()


def _kill_service(faults: Faults, service: str) -> str:
    faults.daemon.kill(service)
    faults.daemon.wait(lambda: not faults.daemon.processes("dagster dev "), "dagster dev ends")
    faults.move_on()
    faults.daemon.start()
    return faults.status()


def kill_daemon(faults: Faults) -> str:
    """The daemon is killed; `dagster dev` ends, the run goes on, `dagster dev` is started again."""
    return _kill_service(faults, "dagster._daemon")


def kill_web_server(faults: Faults) -> str:
    """The web server is killed; `dagster dev` ends, the run goes on, `dagster dev` is started again."""
    return _kill_service(faults, "dagster_webserver")


@dataclass(frozen=True)
class Fault:
    """A fault, and how it is made in many stages.

    Args:
        make: Makes it where a run has stopped; returns what became of the run.
        one_by_one: Whether each stage has a run of its own that goes to its end; else the stages are made once, in
            turn, by one run or by as many as it takes.
        stages: Where it can be.
    """

    make: Callable[[Faults], str]
    one_by_one: bool
    stages: Collection[str] = STAGES


FAULTS: Mapping[str, Fault] = {
    "worker": Fault(kill_worker, one_by_one=True),
    "disk": Fault(fill_disk, one_by_one=True),
    "replaced": Fault(replace_dump, one_by_one=True, stages=DUMP_ASSETS[:1]),
    "cancel": Fault(cancel, one_by_one=False),
    "code_server": Fault(kill_code_server, one_by_one=False),
    "daemon": Fault(kill_daemon, one_by_one=False),
    "web_server": Fault(kill_web_server, one_by_one=False),
}


def make(faults: Faults, name: str, stages: Collection[str]) -> None:
    """Make a fault in stages, and say what became of each."""
    fault = FAULTS[name]
    wanted = [stage for stage in stages if stage in fault.stages]
    for together in [[stage] for stage in wanted] if fault.one_by_one else [wanted]:
        faults.forget(together)
        for _ in together:
            started = time.monotonic()
            faults.meet()
            said = fault.make(faults)
            faults.check()
            _say(f"{name:<12} {faults.stage:<24} {time.monotonic() - started:6.0f} s  {said}")


def versions(root: Path) -> dict[str, str]:
    """Return what each published artifact holds, by its place; one that is half there raises.

    Logs and times belong to the files of models, and differ from run to run, and with them the keys of what is
    made from a model. So models and their reports go by their weights and by what was measured.
    """
    folders = [path for path in (root / "artifacts").glob("*/*/*") if path.is_dir()]
    found = {}
    for artifact in map(load_artifact, folders):
        asset, held = artifact.manifest.asset, artifact.data_version
        if asset == MODEL_ASSETS[0]:
            [held] = [f.sha256 for f in artifact.manifest.files if f.path.endswith(".safetensors")]
        elif asset in MODEL_ASSETS:
            held = digest_json([artifact.report[name] for name in ("bits_per_byte", "suite")])
        found[f"{asset} {held}" if asset in MODEL_ASSETS else artifact.place] = held
    return found


def undisturbed(folder: Path, daemon: Daemon) -> dict[str, str]:
    """Make the same in another home, by the command line, twice at once."""
    home = folder / "undisturbed"
    shutil.copytree(daemon.store.layout.inbox, home / "inbox" / "r")
    command = [sys.executable, "-m", "tonsai_pipeline", "run", "-r", "recipe.yaml", "--home", home]
    with (folder / "undisturbed.log").open("w") as log:
        both = [
            subprocess.Popen(command, cwd=folder, env=daemon.environment, stdout=log, stderr=log)
            for _ in range(2)
        ]
        ended = [process.wait() for process in both]
    assert ended == [0, 0], (folder / "undisturbed.log").read_text()
    return versions(home)


def main(named: Collection[str], stages: Collection[str], folder: Path) -> None:
    """Make faults in stages, and compare what comes of it."""
    faults = Faults(folder)
    daemon = faults.daemon
    try:
        expected = undisturbed(folder, daemon)
        _say(f"two runs at once: {len(expected)} artifacts")
        daemon.start()
        for name in named:
            make(faults, name, stages)
            faults.end()
            daemon.launch("everything")
            faults.end()
            found = versions(daemon.store.layout.root)
            differ = sorted(place for place in expected if found.get(place) != expected[place])
            _say(f"{name:<12} {len(expected)} artifacts, {len(differ)} differ {differ}")
        daemon.stop()
        assert not daemon.processes(), "processes stayed behind"
        _say("no process stayed behind")
    finally:
        daemon.kill("")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
