"""What a job of its own processes leaves in its output folder for whoever started it.

run.json                    what the job was told
metrics.jsonl               what it measured on the way, a record a line
failure-<start>-<rank>.json why a process ended: an error, a hang. The first to fail knows the cause; the others only
                            notice that a peer is gone
joined.json                 which machines take part in which start, written by process 0 when all have met
status.json                 the job finished; written last

A machine that stood still may wake when the others have begun again without it: nothing that it then writes counts.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from tonsai_pipeline.errors import StorageError, TonsaiError, TrainError, redact
from tonsai_pipeline.storage.files import read_json, write_json

RUN_NAME = "run.json"
METRICS_NAME = "metrics.jsonl"
STATUS_NAME = "status.json"
JOINED_NAME = "joined.json"
#: torchrun's name of a start.
_START = "TORCHELASTIC_RUN_ID"


def record_failure(folder: Path, **facts: object) -> None:
    """Leave a record for this process.

    Args:
        folder: The run's output folder.
        facts: `error` (its kind), `message`, `is_ours` (the message is meant for a person), `may_retry` (the
            same command may succeed), `step`, `checkpoint`, `traceback`.
    """
    rank = int(os.environ.get("RANK", "0"))
    known = {"time": time.time(), "rank": rank, "host": socket.gethostname()}
    write_json(folder / f"failure-{_own_start()}-{rank}.json", {**known, **facts})


def record_error(folder: Path, error: BaseException) -> None:
    """Leave a record of the error that is being handled."""
    retry = {"may_retry": True} if getattr(error, "may_retry", False) else {}
    record_failure(
        folder,
        error=type(error).__name__,
        message=redact(str(error)),
        is_ours=isinstance(error, TonsaiError),
        step=getattr(error, "step", None),
        checkpoint=getattr(error, "checkpoint", None),
        traceback=redact(traceback.format_exc()),
        **retry,
    )


def run_recorded(folder: Path, work: Callable[[], object]) -> int:
    """Do a job's work; an error leaves a record. What an earlier start left is forgotten first.

    Returns:
        Exit code: 0, or 1 after an error of ours, whose message a person reads on stderr; others are raised.
    """
    _forget_earlier_start(folder)
    try:
        work()
    except BaseException as error:
        record_error(folder, error)
        if isinstance(error, TonsaiError):
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
        raise
    return 0


def has_failed(folder: Path) -> bool:
    """Whether any process of this start left a record."""
    return any(_failures(folder, _own_start()))


def forget_last_run(folder: Path) -> None:
    """Remove what an earlier start left of how it ended; called before any process is started."""
    for path in (folder / STATUS_NAME, folder / JOINED_NAME, *_failures(folder)):
        path.unlink(missing_ok=True)


def _forget_earlier_start(folder: Path) -> None:
    """Remove what is this process's to remove of an earlier start, which may have had more processes.

    torchrun starts processes again without asking the launcher. A record that another process of this start has
    written in the meantime stays.
    """
    rank, world_size = (int(os.environ.get(*of)) for of in (("RANK", "0"), ("WORLD_SIZE", "1")))
    for path in _failures(folder, _own_start()):
        if int(path.stem.rpartition("-")[2]) % world_size == rank:
            path.unlink(missing_ok=True)
    if rank == 0:
        (folder / STATUS_NAME).unlink(missing_ok=True)


def first_failure(folder: Path, start: str = "*") -> Mapping[str, Any]:
    """Return the record that names the cause; empty without any.

    Args:
        folder: The run's output folder.
        start: Which start is asked about; any, where no other one can be alive.
    """
    records = [cast("dict[str, Any]", read_json(path)) for path in _failures(folder, start)]
    # A process that names its error in our words knows more than one that lost a peer at the same moment.
    return min(records, key=lambda record: (not record["is_ours"], record["time"]), default={})


def write_joined(folder: Path, machines: Sequence[Mapping[str, Any]]) -> None:
    """Say which machines take part in this start, each with `host` and `num_processes`."""
    write_json(folder / JOINED_NAME, {"start": _own_start(), "machines": machines})


def read_joined(folder: Path) -> list[dict[str, Any]]:
    """Return the machines that take part; none if they have not met."""
    return cast("list[dict[str, Any]]", _joined(folder).get("machines", []))


def check_start(folder: Path) -> None:
    """Make sure that nobody began again without this process, before it writes what counts.

    Raises:
        TrainError: Somebody did.
    """
    if _joined(folder).get("start", _own_start()) != _own_start():
        raise TrainError(
            f"{folder}: this process stood still until the others began again without it"
        )


def _joined(folder: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", read_json(folder / JOINED_NAME))
    except StorageError:
        return {}


def _own_start() -> str:
    return os.environ.get(_START, "alone")


def _failures(folder: Path, start: str = "*") -> Iterator[Path]:
    return folder.glob(f"failure-{start}-*.json")


def describe_joined(machines: Sequence[Mapping[str, Any]]) -> str:
    """Return the machines in words.

    Example:
        >>> describe_joined([{"host": "a", "num_processes": 8}, {"host": "b", "num_processes": 8}])
        '16 processes on 2 machines: a (8), b (8)'
    """
    num_processes = sum(machine["num_processes"] for machine in machines)
    each = ", ".join(f"{machine['host']} ({machine['num_processes']})" for machine in machines)
    return f"{num_processes} processes on {len(machines)} machines: {each}"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all records; a last line cut short by a kill is left out."""
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1] if line]
