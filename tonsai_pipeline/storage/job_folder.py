"""What a job of its own processes leaves in its output folder for whoever started it.

run.json            what the job was told
metrics.jsonl       what it measured on the way, a record a line
failure-<rank>.json why a process ended: an error, a hang. The first to fail knows the cause; the others only notice
                    that a peer is gone
status.json         the job finished; written last
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from tonsai_pipeline.errors import TonsaiError, redact
from tonsai_pipeline.storage.files import read_json, write_json

RUN_NAME = "run.json"
METRICS_NAME = "metrics.jsonl"
STATUS_NAME = "status.json"
_FAILURES = "failure-*.json"


def record_failure(folder: Path, **facts: object) -> None:
    """Leave a record for this process.

    Args:
        folder: The run's output folder.
        facts: `error` (its kind), `message`, `is_ours` (the message is meant for a person), `may_retry` (the
            same command may succeed), `step`, `checkpoint`, `traceback`.
    """
    rank = int(os.environ.get("RANK", "0"))
    write_json(folder / f"failure-{rank}.json", {"time": time.time(), "rank": rank, **facts})


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
    """Do a job's work; an error leaves a record.

    Returns:
        Exit code: 0, or 1 after an error of ours, whose message a person reads on stderr; others are raised.
    """
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
    """Whether any process left a record."""
    return any(folder.glob(_FAILURES))


def forget_failures(folder: Path) -> None:
    """Remove the records of an earlier start."""
    for path in folder.glob(_FAILURES):
        path.unlink(missing_ok=True)


def first_failure(folder: Path) -> Mapping[str, Any]:
    """Return the record that names the cause; empty without any."""
    records = [cast("dict[str, Any]", read_json(path)) for path in folder.glob(_FAILURES)]
    # A process that names its error in our words knows more than one that lost a peer at the same moment.
    return min(records, key=lambda record: (not record["is_ours"], record["time"]), default={})


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all records; a last line cut short by a kill is left out."""
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1] if line]
