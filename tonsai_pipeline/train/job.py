"""The training job, one process of it: RUN.json -> checkpoints/, metrics.jsonl, model/, status.json.

    python -m torch.distributed.run --nproc-per-node 2 -m tonsai_pipeline.train.job --run RUN.json

`status.json` is written last, by process 0, and says how the run ended. It, and not an exit code, is what a
launcher believes: launchers lose exit codes of workers, and a stopped run that has saved is not a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from tonsai_pipeline.errors import TonsaiError
from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.planner.network import state_bytes, states_of
from tonsai_pipeline.reporting import Reporter, open_reporter
from tonsai_pipeline.storage.files import name_contents, write_json
from tonsai_pipeline.storage.job_folder import (
    METRICS_NAME,
    STATUS_NAME,
    check_start,
    describe_joined,
    has_failed,
    read_joined,
    run_recorded,
)
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.assemble import Setup, assemble
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.callbacks.averaging import Averaging
from tonsai_pipeline.train.callbacks.make import make_callbacks
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoint, Checkpoints
from tonsai_pipeline.train.checkpoints.remote import Remote
from tonsai_pipeline.train.checkpoints.resume import resume
from tonsai_pipeline.train.checkpoints.uploader import Uploader, UploadReport
from tonsai_pipeline.train.launch import machines, process
from tonsai_pipeline.train.launch.watchdog import Watchdog
from tonsai_pipeline.train.loop.feed import RowFeed
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.loop.trainer import Outcome, Trainer
from tonsai_pipeline.train.memory import out_of_memory
from tonsai_pipeline.train.micro_batch import lower_micro_rows
from tonsai_pipeline.train.records.journal import Journal
from tonsai_pipeline.train.records.metrics import Metrics
from tonsai_pipeline.train.records.trackers import check_trackers, open_trackers
from tonsai_pipeline.train.spec import CHECKPOINTS_NAME, MODEL_NAME, TrainRun

#: A stopped run must end before its launcher's patience does; what is not uploaded by then is on this disk.
_LAST_UPLOAD_S = 30.0
#: Of a process whose run was stopped by a signal to another machine. After a 0, its torchrun would wait five minutes for
#: that machine's, which may be gone.
_STOPPED_ELSEWHERE = 77


class Work:
    """What a job does with a network beside training it: pretraining; other jobs override what is theirs."""

    def read(self, path: Path) -> TrainRun:
        """Read RUN.json."""
        return TrainRun.read(path)

    def prepare(
        self, run: TrainRun, model: PreTrainedModel, reader: RowReader, log: Callable[[str], object]
    ) -> None:
        """Change a network in place before it is trained; called in every process."""

    def export(self, run: TrainRun, backend: Backend) -> None:
        """Write what was trained; called in every process."""
        state = backend.full_state()
        if backend.rank == 0:
            folder = run.output_dir / MODEL_NAME
            save_model(backend.loss.model, folder, tokenizer_dir=run.tokenizer_dir, state=state)


PRETRAINING = Work()


def main(argv: Sequence[str] | None = None, *, work: Work = PRETRAINING) -> int:
    """Run one process of the job; returns 0 when the run finished or was stopped and saved."""
    parser = argparse.ArgumentParser(
        prog="tonsai_pipeline.train.job", description="One training process."
    )
    parser.add_argument("--run", type=Path, required=True, help="RUN.json, see train/spec.py")
    # The deepspeed launcher adds this; torchrun says the same through the environment.
    parser.add_argument("--local_rank", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(arguments.local_rank))
    folder: Path = arguments.run.parent
    stop = StopRequest()
    stop.install(is_hopeless=lambda: has_failed(folder))

    is_finished = False

    def start() -> None:
        nonlocal is_finished
        run = work.read(arguments.run)
        with open_reporter() as reporter:
            is_finished = train(run, reporter=reporter, stop=stop, work=work).finished

    try:
        code = run_recorded(folder, start)
        is_left = code == 0 and not is_finished and stop.signal_name is None
        return _STOPPED_ELSEWHERE if is_left and len(read_joined(folder)) > 1 else code
    finally:
        process.leave_group()


def train(
    run: TrainRun, *, reporter: Reporter, stop: StopRequest, work: Work = PRETRAINING
) -> Outcome:
    """Train, export and write `status.json`.

    Args:
        run: What to do.
        reporter: Shows numbers and messages.
        stop: Whether a signal arrived.
        work: Makes the network ready, and keeps what came of it.

    Raises:
        TonsaiError: The run cannot start, or stopped by itself; the message says what to do.
    """
    section = run.train
    process.be_quiet()
    device = process.join_group(use_deepspeed=section.backend == "deepspeed")
    if section.deterministic:
        process.be_deterministic()
    joined = machines.meet(run.output_dir)
    if len(joined) > 1:
        reporter.log(describe_joined(joined))
    check_trackers(section.metrics)
    reader = RowReader(run.shards_dir / "train")
    setup = assemble(run, reader, device, reporter, prepare=work.prepare)
    try:
        return _run(setup.run, reader, setup, reporter, stop, work)
    except torch.OutOfMemoryError as error:
        backend = setup.backend
        lowered = lower_micro_rows(run, setup.plan)
        raise out_of_memory(
            section,
            setup.network,
            micro_rows=setup.plan.micro_rows,
            zero_stage=backend.zero_stage,
            world_size=backend.world_size,
            precision=backend.precision,
            lowered=lowered,
        ) from error


def _run(
    run: TrainRun,
    reader: RowReader,
    setup: Setup,
    reporter: Reporter,
    stop: StopRequest,
    work: Work,
) -> Outcome:
    section, backend = run.train, setup.backend
    rank, notices = backend.rank, deque[str]()
    remote, uploader = _open_remote(run, rank, notices.append)
    checkpoints = Checkpoints(
        run.output_dir / CHECKPOINTS_NAME,
        section.checkpoint,
        section.guards,
        rank=rank,
        on_trouble=notices.append,
        expected_bytes=state_bytes(setup.network, **states_of(section)),
        copies=uploader,
    )
    metrics = _open_metrics(run, rank, notices.append)
    journal = Journal(metrics, reporter, notices, setup.plan.num_steps)
    feed = RowFeed(
        reader,
        setup.plan,
        rank,
        positions=run.model.positions,
        use_varlen=backend.use_varlen,
        pinned=backend.device.type == "cuda",
    )
    with Watchdog(section.guards.watchdog_s, run.output_dir, rank) as watchdog, closing(feed):
        watchdog.beat("loading a checkpoint")
        try:
            resumed = resume(run, backend, checkpoints, remote, reporter)
        except TonsaiError:
            journal.flush(0)
            raise
        uploads = None if uploader is None else lambda: uploader.report
        callbacks = make_callbacks(run, setup, checkpoints, uploads)
        averaging = next((one for one in callbacks if isinstance(one, Averaging)), None)
        trainer = Trainer(
            backend=backend,
            run=run,
            plan=setup.plan,
            feed=feed,
            journal=journal,
            stop=stop,
            watchdog=watchdog,
            callbacks=callbacks,
        )
        try:
            outcome = trainer.run(None if resumed is None else resumed.state)
            watchdog.beat("exporting the model")
            if outcome.finished:
                keeps_average = averaging is not None and averaging.keeps_average
                with backend.averaged() if keeps_average else nullcontext():
                    work.export(run, backend)
        except TonsaiError:
            if uploader is not None:
                uploader.close(_LAST_UPLOAD_S)
            raise
        finally:
            journal.flush(trainer.step)
    last = checkpoints.last
    verdict = {} if averaging is None else averaging.verdict
    _write_status(run, setup, outcome, last, verdict, None)
    if uploader is not None:
        limit_s = section.checkpoint.upload_drain_s
        report = uploader.close(limit_s if outcome.finished else min(limit_s, _LAST_UPLOAD_S))
        journal.flush(outcome.step)
        _write_status(run, setup, outcome, last, verdict, report)
    metrics.close()
    return outcome


def _open_metrics(run: TrainRun, rank: int, on_trouble: Callable[[str], None]) -> Metrics:
    trackers = open_trackers(
        run.train.metrics,
        run.output_dir,
        fingerprint=run.fingerprint,
        settings=lambda: {
            "model": run.model.settings(name_contents),
            "train": run.train.settings(name_contents),
        },
    )
    path = run.output_dir / METRICS_NAME
    return Metrics(path, rank=rank, trackers=trackers, on_trouble=on_trouble)


def _open_remote(
    run: TrainRun, rank: int, on_trouble: Callable[[str], None]
) -> tuple[Remote | None, Uploader | None]:
    """Open the folder that checkpoints are copied to; only process 0 does."""
    section = run.train.checkpoint
    if section.upload_url is None or rank != 0:
        return None, None
    remote = Remote(section.upload_url, run.fingerprint)
    return remote, Uploader(remote, section, on_trouble=on_trouble)


def _write_status(
    run: TrainRun,
    setup: Setup,
    outcome: Outcome,
    last: Checkpoint | None,
    average: Mapping[str, Any],
    uploads: UploadReport | None,
) -> None:
    backend, plan = setup.backend, setup.plan
    if backend.rank != 0:
        return
    check_start(run.output_dir)
    status = {
        "state": "finished" if outcome.finished else "interrupted",
        "fingerprint": run.fingerprint,
        "step": outcome.step,
        "num_steps": plan.num_steps,
        "tokens": outcome.step * plan.step_tokens,
        "train_s": outcome.train_s,
        "checkpoint": None if last is None else str(last.folder),
        "num_rollbacks": outcome.num_rollbacks,
        "num_parameters": setup.network.num_parameters,
        "network": asdict(setup.network),
        "flops_per_token": setup.flops,
        "peak_flops": setup.peak_flops,
        "world_size": backend.world_size,
        "num_nodes": len(read_joined(run.output_dir)),
        "micro_batch_rows": plan.micro_rows,
        "global_batch_tokens": plan.step_tokens,
        "lr": run.train.optimizer.lr,
        "embedding_lr": run.train.optimizer.embedding_lr or run.train.optimizer.lr,
        "weight_decay": run.train.optimizer.weight_decay,
        "reasons": dict(setup.reasons),
        "zero_stage": backend.zero_stage,
        "backend": backend.name,
        "device": backend.device.type,
        "precision": backend.precision,
    }
    if setup.base is not None:
        status["base"] = {language: found.as_dict() for language, found in setup.base.items()}
    if average:
        status["average"] = average
    if uploads is not None:
        status["uploads"] = asdict(uploads)
    write_json(run.output_dir / STATUS_NAME, status)


if __name__ == "__main__":
    sys.exit(main())
