"""`dagster dev` as a person starts it, on an empty folder: dumps in, switches on, processes killed, documents counted.

    daemon = Daemon(folder)
    daemon.start()
    daemon.drop("news@20261101", documents(40, seed=1))
    daemon.switch_on("new_dumps", "follow_dumps")
    daemon.wait(lambda: daemon.corpus_documents() == 40, "the corpus")
    daemon.kill("")

All is asked through GraphQL and the data root. Every process that it starts, and whatever these start, bears a mark in its
environment, so that none is left behind and none of another's is ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store, load_artifact
from tonsai_pipeline_tests.quality.pages import english_prose

PROJECT = Path(__file__).parents[1]
RECIPE = """
name: r
sources: [{name: news, lang: eng}]
mixture: {languages: {eng: 1}, validation: {frac: 0.1}}
tokenizer: {vocab_size: 512}
packing: {seq_len: 128}
model: {architecture: gpt2, num_layers: 1, hidden_size: 32, num_heads: 2}
train: {max_tokens: 20_480, global_batch_tokens: 1024, micro_batch_rows: 8, precision: fp32, checkpoint: {every_steps: 5}}
"""
_LOCATIONS = (
    "{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename}}}}}"
)
#: A busy machine starts `dagster dev` in a minute or two; only what hangs waits as long as this.
WAIT_S = 420.0


def documents(num: int, seed: int) -> list[str]:
    """English prose that passes the quality rules; each seed gives other texts."""
    return [english_prose(12, 1000 * seed + number) for number in range(num)]


class Daemon:
    """One instance in a folder; `dagster dev` on it can be started, killed and started again.

    Args:
        folder: Where the instance, its recipe and its data are; may be empty.
        storage: The `storage` of `dagster.yaml`; None for the project's own, SQLite.
        module: What has the definitions; its sensors may tick faster.
        recipe: The recipe; its name is `r`.
        environment: More variables for every process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        storage: Mapping[str, Any] | None = None,
        module: str = "tonsai_pipeline.definitions",
        recipe: str = RECIPE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._port = _free_port()
        self.store = Store(Layout(folder / "data", "r"))
        self.store.layout.inbox.mkdir(parents=True, exist_ok=True)
        settings = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
        settings["storage"] = storage or settings["storage"]
        (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
        place = {"module_name": module, "location_name": "tonsai_pipeline"}
        (folder / "workspace.yaml").write_text(
            yaml.safe_dump({"load_from": [{"python_module": place}]})
        )
        (folder / "recipe.yaml").write_text(recipe)
        #: Of every process; one thread, so that sums of floats are the same.
        self.environment = {
            **{key: value for key, value in os.environ.items() if key != "DAGSTER_HOME"},
            "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]),
            "TONSAI_HOME": str(folder / "data"),
            "TONSAI_RECIPE": "recipe.yaml",
            "TONSAI_TEST_MARK": self._mark,
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        }

    @property
    def address(self) -> str:
        """Where the web server answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> float:
        """Start `dagster dev`; return the seconds until it answers."""
        started = time.monotonic()
        with (self.folder / "dev.log").open("a") as log:
            subprocess.Popen(
                [sys.executable, "-m", "dagster", "dev", "-p", str(self._port)],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # A shell that runs things in the background has its children ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
            )
        self.wait(self.is_loaded, "dagster dev", every_s=0.2)
        return time.monotonic() - started

    def is_loaded(self) -> bool:
        """Tell whether the web server answers and has the definitions."""
        try:
            entries = self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        return [e["locationOrLoadError"]["__typename"] for e in entries] == ["RepositoryLocation"]

    def stop(self) -> None:
        """Press Ctrl-C, and wait until `dagster dev` and its servers have ended."""
        for pid in self.processes("dagster dev "):
            os.kill(pid, signal.SIGINT)
        names = (
            "dagster dev ",
            "code-server start",
            "api grpc",
            "dagster_webserver",
            "dagster._daemon",
        )
        self.wait(lambda: not any(map(self.processes, names)), "the end of dagster dev")

    def kill(self, command: str) -> list[int]:
        """End with SIGKILL what has a text in its command line, and wait for its end; empty for every process of this."""
        killed = pids = self.processes(command)
        while pids:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
            # Who is killed may have started another one meanwhile.
            pids = self.processes(command) if not command else [p for p in pids if _is_alive(p)]
        return killed

    def processes(self, command: str = "") -> list[int]:
        """Return the processes of this instance that have a text in their command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                marked = (
                    f"TONSAI_TEST_MARK={self._mark}".encode() in (path / "environ").read_bytes()
                )
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it ended
                continue
            if marked and command in line and _is_alive(int(path.name)):
                found.append(int(path.name))
        return sorted(found)

    def wait(self, condition: Callable[[], object], what: str, *, every_s: float = 1.0) -> None:
        """Wait until a condition holds, however busy the machine."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > WAIT_S:
                log = (self.folder / "dev.log").read_text()[-4000:]
                raise AssertionError(f"{what}: not after {WAIT_S:.0f} s; {self.runs()}\n{log}")
            time.sleep(every_s)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return what GraphQL answers."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.load(answer)
        assert "errors" not in told, told["errors"]
        return told["data"]

    def switch_on(self, *sensors: str) -> None:
        """Turn sensors on, as on the automation page."""
        for name in sensors:
            selector = {**_REPOSITORY, "sensorName": f"r__{name}"}
            told = self.ask(
                "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }",
                s=selector,
            )
            assert told["startSensor"]["__typename"] == "Sensor", told

    def launch(self, job: str) -> str:
        """Press Launch of a job; return the run's id."""
        params = {
            "selector": {**_REPOSITORY, "pipelineName": f"r__{job}"},
            "runConfigData": {},
            "mode": "default",
        }
        told = self.ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p=params,
        )["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return told["run"]["runId"]

    def cancel(self, run_id: str) -> None:
        """Press Terminate of a run."""
        told = self.ask(
            "mutation($r: String!) { terminateRun(runId: $r) { __typename "
            "... on TerminateRunFailure { message } ... on PythonError { message } } }",
            r=run_id,
        )["terminateRun"]
        assert told["__typename"] == "TerminateRunSuccess", told

    def runs(self) -> list[dict[str, str]]:
        """Return job and status of every run, the newest first."""
        try:
            told = self.ask("{runsOrError{... on Runs{results{runId jobName status}}}}")
        except OSError as error:
            return [{"runId": "", "jobName": "", "status": f"no answer: {error}"}]
        return told["runsOrError"]["results"]

    def is_idle(self) -> bool:
        """Tell whether no run waits or works."""
        return {run["status"] for run in self.runs()} <= {"SUCCESS", "FAILURE", "CANCELED"}

    def drop(self, dump: str, texts: Sequence[str], *, age_s: float = 60.0) -> Path:
        """Move a dump into the inbox whose last change was some seconds ago."""
        path = self.store.layout.inbox / f"{dump}.jsonl"
        hidden = self.folder / path.name
        hidden.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        os.utime(hidden, (time.time() - age_s,) * 2)
        shutil.move(hidden, path)
        return path

    def made(self, asset: str = "raw_documents") -> Counter[str]:
        """Return how often an asset of each dump was made, in materializations that did work."""
        found: Counter[str] = Counter()
        for partition, facts in self._materializations(asset):
            found[partition] += not facts["cached"]
        return found

    def documents_made(self) -> int:
        """Return the documents that were read from dumps, those read twice counted twice."""
        told = self._materializations("raw_documents")
        return sum(facts["num_documents"] for _, facts in told if not facts["cached"])

    def current_documents(self, dump: str) -> int:
        """Return the documents of what is current of a dump; 0 if nothing is."""
        return self._report("minhash_signatures", dump).get("num_documents", 0)

    def corpus_documents(self) -> int:
        """Return the documents of the dumps that the current shards were made from; 0 before there are any."""
        try:
            places = self.store.current("packed_shards").manifest.made_from
        except ManifestError:
            return 0
        parts = [place for place in places if place.startswith("mixture_documents/")]
        reports = [load_artifact(self.store.layout.root / "artifacts" / p).report for p in parts]
        return sum(r["num_train"] + r["num_validation"] + r["num_left_out"] for r in reports)

    def set_aside(self) -> list[str]:
        """Return the dumps that the current catalog leaves out."""
        return sorted(self._report("dump_catalog").get("set_aside", {}))

    def _report(self, asset: str, dump: str | None = None) -> Mapping[str, Any]:
        try:
            return self.store.current(asset, dump).report
        except ManifestError:
            return {}

    def _materializations(self, asset: str) -> list[tuple[str, dict[str, Any]]]:
        told = self.ask(
            "query($k: AssetKeyInput!) { assetOrError(assetKey: $k) { ... on Asset { assetMaterializations { partition "
            "metadataEntries { label ... on IntMetadataEntry { intValue } ... on BoolMetadataEntry { boolValue } } "
            "} } } }",
            k={"path": ["r", asset]},
        )["assetOrError"]
        return [
            (
                event["partition"],
                {
                    entry["label"]: entry.get("intValue", entry.get("boolValue"))
                    for entry in event["metadataEntries"]
                },
            )
            for event in told.get("assetMaterializations", ())
        ]


_REPOSITORY = {"repositoryLocationName": "tonsai_pipeline", "repositoryName": "__repository__"}


def _is_alive(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
