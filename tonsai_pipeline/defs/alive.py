"""Which runs lost their process: each holds a file locked, and the system lets go of it when the process is gone.

first step of a run ──hold──▶ alive/<run id> locked until the process ends
alive/<run id> not locked, run not finished ──report_lost──▶ the run is a failure, its place in the queue is free

Dagster asks a process for its health only where the launcher can (Kubernetes, ECS); on one machine a run whose code
server was killed with it would be "started" for ever. Needs a data root whose file system has locks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import dagster as dg

from tonsai_pipeline.storage.lease import if_free, lock_for_life

_HELD: dict[Path, TextIO] = {}


def hold(folder: Path, run_id: str) -> None:
    """Hold the file of a run until this process ends."""
    path = folder / run_id
    if path not in _HELD:
        _HELD[path] = lock_for_life(path)


def report_lost(folder: Path, instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone; return their ids."""
    lost = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with if_free(path) as is_free:
            if not is_free:
                continue
            run = instance.get_run_by_id(path.name)
            if run is not None and not run.is_finished:
                instance.report_run_failed(run, "its process was killed; what it finished is kept")
                lost.append(path.name)
            path.unlink(missing_ok=True)
    return lost
