"""The training job, one process of it: RUN.json -> checkpoints/, metrics.jsonl, model/, status.json.

    python -m torch.distributed.run --nproc-per-node 2 -m tonsai_pipeline.train.job --run RUN.json

`status.json` is written last, by process 0, and says how the run ended. It, and not an exit code, is what a
launcher believes: launchers lose exit codes of workers, and a stopped run that has saved is not a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from tonsai_pipeline.errors import TonsaiError
from tonsai_pipeline.eval.bits_per_byte import open_validation
from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.reporting import Reporter, open_reporter
from tonsai_pipeline.storage.files import name_contents, write_json
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train import process
from tonsai_pipeline.train.assemble import Parts, assemble
from tonsai_pipeline.train.checkpoint import Checkpoints
from tonsai_pipeline.train.engine import Engine
from tonsai_pipeline.train.extras import make_extras
from tonsai_pipeline.train.failure import has_failed, record_failure
from tonsai_pipeline.train.feed import RowFeed
from tonsai_pipeline.train.loop import Outcome, Trainer
from tonsai_pipeline.train.metrics import Metrics
from tonsai_pipeline.train.resume import resume
from tonsai_pipeline.train.spec import (
    CHECKPOINTS_NAME,
    METRICS_NAME,
    MODEL_NAME,
    STATUS_NAME,
    TrainRun,
)
from tonsai_pipeline.train.stop import StopRequest
from tonsai_pipeline.train.trackers import check_trackers, open_trackers
from tonsai_pipeline.train.upload import Remote, Uploader, UploadReport
from tonsai_pipeline.train.watchdog import Watchdog

#: A stopped run must end before its launcher's patience does; what is not uploaded by then is on this disk.
_LAST_UPLOAD_S = 30.0


def main(argv: Sequence[str] | None = None) -> int:
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
    try:
        run = TrainRun.read(arguments.run)
        with open_reporter() as reporter:
            train(run, reporter=reporter, stop=stop)
    except BaseException as error:
        _record_failure(folder, error)
        if isinstance(error, TonsaiError):
            # Meant to be read by a person: the message is enough.
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
        raise
    finally:
        process.leave_group()
    return 0


def train(run: TrainRun, *, reporter: Reporter, stop: StopRequest) -> Outcome:
    """Train, export and write `status.json`.

    Args:
        run: What to do.
        reporter: Who is told.
        stop: Whether a signal arrived.

    Raises:
        TonsaiError: The run cannot start, or stopped by itself; the message says what to do.
    """
    section = run.train
    process.be_quiet()
    device = process.join_group(use_deepspeed=section.engine == "deepspeed")
    if section.deterministic:
        process.be_deterministic()
    check_trackers(section.metrics)
    reader = RowReader(run.shards_dir / "train")
    parts = assemble(run, reader, device, reporter)
    return _run(run, reader, parts, reporter, stop)


def _run(
    run: TrainRun, reader: RowReader, parts: Parts, reporter: Reporter, stop: StopRequest
) -> Outcome:
    section, engine = run.train, parts.engine
    rank, notices = engine.rank, deque[str]()
    remote, uploader = _open_remote(run, rank, notices.append)
    checkpoints = Checkpoints(
        run.output_dir / CHECKPOINTS_NAME,
        section.checkpoint,
        section.guards,
        rank=rank,
        on_trouble=notices.append,
        expected_bytes=12 * parts.num_parameters,  # fp32 weights and two running means
        copies=uploader,
    )
    metrics = Metrics(
        run.output_dir / METRICS_NAME,
        rank=rank,
        trackers=open_trackers(
            section.metrics,
            run.output_dir,
            fingerprint=run.fingerprint,
            settings=lambda: {
                "model": run.model.settings(name_contents),
                "train": run.train.settings(name_contents),
            },
        ),
        on_trouble=notices.append,
    )
    feed = RowFeed(
        reader,
        parts.plan,
        rank,
        positions=run.model.positions,
        use_varlen=engine.use_varlen,
        pinned=engine.device.type == "cuda",
    )
    with Watchdog(section.guards.watchdog_s, run.output_dir, rank) as watchdog, closing(feed):
        watchdog.beat("loading a checkpoint")
        try:
            resumed = resume(run, engine, checkpoints, remote, reporter)
        except TonsaiError:
            while notices:
                reporter.log(notices.popleft())
            raise
        trainer = Trainer(
            engine=engine,
            section=section,
            plan=parts.plan,
            feed=feed,
            validation=open_validation(run.shards_dir),
            positions=run.model.positions,
            fingerprint=run.fingerprint,
            checkpoints=checkpoints,
            metrics=metrics,
            reporter=reporter,
            stop=stop,
            watchdog=watchdog,
            notices=notices,
            uploads=None if uploader is None else lambda: uploader.report,
            flops=parts.flops,
            peak_flops=parts.peak_flops,
            extras=make_extras(run, engine, parts.plan, parts.base, metrics, reporter),
        )
        try:
            outcome = trainer.run(resumed)
            watchdog.beat("exporting the model")
            if outcome.finished:
                _export(run, engine)
        except TonsaiError:
            if uploader is not None:
                uploader.close(_LAST_UPLOAD_S)
            raise
        finally:
            trainer.tell_notices()
    _write_status(run, parts, outcome, None)
    if uploader is not None:
        limit_s = section.checkpoint.upload_drain_s
        report = uploader.close(limit_s if outcome.finished else min(limit_s, _LAST_UPLOAD_S))
        trainer.tell_notices()
        _write_status(run, parts, outcome, report)
    metrics.close()
    return outcome


def _open_remote(
    run: TrainRun, rank: int, on_trouble: Callable[[str], None]
) -> tuple[Remote | None, Uploader | None]:
    """Open the folder that checkpoints are copied to; only process 0 does."""
    section = run.train.checkpoint
    if section.upload_url is None or rank != 0:
        return None, None
    remote = Remote(section.upload_url, run.fingerprint)
    return remote, Uploader(remote, section, on_trouble=on_trouble)


def _export(run: TrainRun, engine: Engine) -> None:
    state = engine.full_state()
    if engine.rank == 0:
        folder = run.output_dir / MODEL_NAME
        save_model(engine.loss.model, folder, tokenizer_dir=run.tokenizer_dir, state=state)


def _write_status(
    run: TrainRun, parts: Parts, outcome: Outcome, uploads: UploadReport | None
) -> None:
    engine, plan = parts.engine, parts.plan
    if engine.rank != 0:
        return
    status = {
        "state": "finished" if outcome.finished else "interrupted",
        "fingerprint": run.fingerprint,
        "step": outcome.step,
        "num_steps": plan.num_steps,
        "tokens": outcome.step * plan.step_tokens,
        "train_s": outcome.train_s,
        "checkpoint": None if outcome.checkpoint is None else str(outcome.checkpoint),
        "num_rollbacks": outcome.num_rollbacks,
        "num_parameters": parts.num_parameters,
        "flops_per_token": parts.flops,
        "peak_flops": parts.peak_flops,
        "world_size": engine.world_size,
        "zero_stage": engine.zero_stage,
        "engine": engine.name,
        "device": engine.device.type,
        "precision": "bf16" if engine.bf16 else "fp32",
    }
    if parts.base is not None:
        status["base"] = {language: found.as_dict() for language, found in parts.base.items()}
    if uploads is not None:
        status["uploads"] = asdict(uploads)
    write_json(run.output_dir / STATUS_NAME, status)


def _record_failure(folder: Path, error: BaseException) -> None:
    """Leave the cause where the launcher finds it."""
    record_failure(
        folder,
        error=type(error).__name__,
        message=str(error),
        is_ours=isinstance(error, TonsaiError),
        step=getattr(error, "step", None),
        checkpoint=getattr(error, "checkpoint", None),
        traceback=traceback.format_exc(),
    )


if __name__ == "__main__":
    sys.exit(main())
