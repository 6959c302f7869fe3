"""A training job in this process, and what it logged."""

from __future__ import annotations

from pathlib import Path

from tonsai_pipeline.storage.job_folder import METRICS_NAME, read_metrics
from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.loop.trainer import Outcome
from tonsai_pipeline.train.spec import TrainRun


class Recorder:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None: ...

    def log(self, message: str) -> None:
        self.messages.append(message)


def curve(output_dir: Path) -> list[tuple[int, float, float]]:
    """Return (step, loss, norm of the gradient) of every record of training."""
    records = read_metrics(output_dir / METRICS_NAME)
    return [(r["step"], r["last_loss"], r["grad_norm"]) for r in records if r["kind"] == "train"]


def train(run: TrainRun, stop: StopRequest | None = None) -> tuple[Outcome, Recorder]:
    """Run the job to its end, or to where it is stopped."""
    reporter = Recorder()
    run.write()
    return job.train(run, reporter=reporter, stop=stop or StopRequest()), reporter
