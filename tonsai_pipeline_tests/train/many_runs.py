"""Several runs, one after another in the same processes: a launch costs half a minute, a tiny run none.

PLAN.json: [{"run": RUN.json, "start_from": CHECKPOINT or null}, ...]  ──▶ each run's own output folder
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import torch.distributed as dist

from tonsai_pipeline.reporting import open_reporter
from tonsai_pipeline.storage.job_folder import record_error
from tonsai_pipeline.train import job
from tonsai_pipeline.train.launch import process
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.spec import TrainRun


def main() -> None:
    plan = Path(sys.argv[sys.argv.index("--run") + 1])
    try:
        for entry in json.loads(plan.read_text()):
            run_one(TrainRun.read(Path(entry["run"])), entry["start_from"])
        if os.environ["RANK"] == "0":
            (plan.parent / "status.json").write_text('{"state": "finished"}')
    except BaseException as error:
        record_error(plan.parent, error)
        raise
    finally:
        process.leave_group()


def run_one(run: TrainRun, start_from: str | None) -> None:
    """Train; with `start_from`, from a copy of that checkpoint alone."""
    if start_from is not None and os.environ.get("RANK", "0") == "0":
        source = Path(start_from)
        shutil.copytree(source, run.output_dir / "checkpoints" / source.name)
    if dist.is_initialized():
        dist.barrier()
    with open_reporter() as reporter:
        job.train(run, reporter=reporter, stop=StopRequest())


if __name__ == "__main__":
    main()
