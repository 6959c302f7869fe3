"""Why a job ended: an error, a hang -> failure-<rank>.json, which the launcher reads.

The first process to fail knows the cause; the others only notice that a peer is gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.storage.files import read_json, write_json

_PATTERN = "failure-*.json"


def record_failure(folder: Path, **facts: object) -> None:
    """Leave a record for this process.

    Args:
        folder: The run's output folder.
        facts: `error` (its kind), `message`, `is_ours` (the message is meant for a person), `may_retry` (the
            same command may succeed), `step`, `checkpoint`, `traceback`.
    """
    rank = int(os.environ.get("RANK", "0"))
    write_json(folder / f"failure-{rank}.json", {"time": time.time(), "rank": rank, **facts})


def has_failed(folder: Path) -> bool:
    """Whether any process left a record."""
    return any(folder.glob(_PATTERN))


def forget_failures(folder: Path) -> None:
    """Remove the records of an earlier start."""
    for path in folder.glob(_PATTERN):
        path.unlink(missing_ok=True)


def first_failure(folder: Path) -> Mapping[str, Any]:
    """Return the record that names the cause; empty without any."""
    records = [cast("dict[str, Any]", read_json(path)) for path in folder.glob(_PATTERN)]
    # A process that names its error in our words knows more than one that lost a peer at the same moment.
    return min(records, key=lambda record: (not record["is_ours"], record["time"]), default={})
