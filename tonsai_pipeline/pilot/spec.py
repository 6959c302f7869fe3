"""What the job of a small run is told: a training run, and what it is measured on."""

from __future__ import annotations

from pathlib import Path

from tonsai_pipeline.train.spec import TrainRun

MEASURED_NAME = "measured.json"


class PilotRun(TrainRun):
    """One small run, complete."""

    what = "a run of a pilot"

    held_out: Path
    """The large recipe's held-out documents, see `stages/mix/held_out.py`."""
