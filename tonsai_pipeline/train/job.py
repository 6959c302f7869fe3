"""The training job, one process of it: RUN.json -> checkpoints/, metrics.jsonl, model/, status.json.

    python -m torch.distributed.run --nproc-per-node 2 -m tonsai_pipeline.train.job --run RUN.json

`status.json` is written last, by process 0, and says how the run ended. It, and not an exit code, is what a
launcher believes: launchers lose exit codes of workers, and a stopped run that has saved is not a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from tonsai_pipeline.errors import TonsaiError, TrainError
from tonsai_pipeline.eval.bits_per_byte import open_validation
from tonsai_pipeline.model.attention import find_leak
from tonsai_pipeline.model.build import build_model, num_parameters, save_model
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.reporting import Reporter, open_reporter
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train import process
from tonsai_pipeline.train.checkpoint import Checkpoint, Checkpoints
from tonsai_pipeline.train.deepspeed_config import deepspeed_settings, merge_settings
from tonsai_pipeline.train.engine import DeepSpeedEngine, Engine, TorchEngine
from tonsai_pipeline.train.flops import flops_per_token, peak_flops_of, shape_of
from tonsai_pipeline.train.loop import Outcome, Trainer
from tonsai_pipeline.train.metrics import Metrics
from tonsai_pipeline.train.plan import BatchPlan, make_plan
from tonsai_pipeline.train.spec import (
    CHECKPOINTS_NAME,
    METRICS_NAME,
    MODEL_NAME,
    STATUS_NAME,
    TrainRun,
)
from tonsai_pipeline.train.stop import StopRequest


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
    stop.install(is_hopeless=lambda: any(folder.glob("failure-*.json")))
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
    reader = RowReader(run.shards_dir / "train")
    parts = _build(run, reader, device, reporter)
    checkpoints = Checkpoints(
        run.output_dir / CHECKPOINTS_NAME,
        section.checkpoint,
        min_free_bytes=int(section.guards.min_free_gb * 1e9),
        rank=parts.engine.rank,
        on_damage=reporter.log,
    )
    resumed = _resume(run, parts.engine, checkpoints, reporter)
    metrics = Metrics(
        run.output_dir / METRICS_NAME,
        tensorboard_dir=run.output_dir / "tensorboard" if section.metrics.tensorboard else None,
        rank=parts.engine.rank,
    )
    trainer = Trainer(
        engine=parts.engine,
        section=section,
        plan=parts.plan,
        reader=reader,
        validation=open_validation(run.shards_dir),
        positions=run.model.positions,
        fingerprint=run.fingerprint,
        checkpoints=checkpoints,
        metrics=metrics,
        reporter=reporter,
        stop=stop,
        flops=parts.flops,
        peak_flops=parts.peak_flops,
    )
    outcome = trainer.run(None if resumed is None else resumed.state)
    metrics.close()
    if outcome.finished:
        _export(run, parts.engine)
    if parts.engine.rank == 0:
        _write_status(run, parts, outcome)
    return outcome


@dataclass(frozen=True)
class _Parts:
    """What is built before the first step."""

    engine: Engine
    plan: BatchPlan
    num_parameters: int
    flops: float
    peak_flops: float | None


def _build(run: TrainRun, reader: RowReader, device: torch.device, reporter: Reporter) -> _Parts:
    section = run.train
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        plan = make_plan(
            section, num_rows=reader.num_rows, seq_len=reader.seq_len, world_size=world_size
        )
    except ValueError as error:
        raise TrainError(f"{run.shards_dir}: {error}") from error
    bf16 = process.chooses_bf16(section, device)
    model = build_model(
        run.model,
        vocab_size=reader.vocab_size,
        seq_len=reader.seq_len,
        special_ids={"bos": reader.bos_id, "eos": reader.eos_id, "pad": reader.pad_id},
        seed=section.seed,
    )
    count = num_parameters(model)
    if section.activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    loss = NextTokenLoss(model, chunk_tokens=section.loss_chunk_tokens, with_z=section.z_loss > 0.0)
    compiled = device.type == "cuda" if section.compile == "auto" else section.compile
    engine = _make_engine(run, plan, loss, device, bf16=bf16, compiled=compiled, reporter=reporter)
    _check_attention(engine)
    reporter.log(
        f"{count:,} parameters, {plan.num_steps:,} steps of {plan.step_tokens:,} tokens, "
        f"{world_size} x {device.type}, {'bf16' if bf16 else 'fp32'}, {engine.name}"
        + (f" ZeRO {engine.zero_stage}" if engine.name == "deepspeed" else "")
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return _Parts(engine, plan, count, _flops(run, reader, count), peak_flops_of(name))


def _make_engine(
    run: TrainRun,
    plan: BatchPlan,
    loss: NextTokenLoss,
    device: torch.device,
    *,
    bf16: bool,
    compiled: bool,
    reporter: Reporter,
) -> Engine:
    section = run.train
    if section.engine == "torch":
        return TorchEngine(loss, section, device, bf16=bf16, compiled=compiled)
    settings = deepspeed_settings(section, plan, bf16=bf16, on_gpu=device.type == "cuda")
    if section.deepspeed_config is not None:
        users = cast("dict[str, Any]", read_json(section.deepspeed_config))
        settings, ignored = merge_settings(settings, users)
        # Precision follows the hardware: a file written for an H100 must also run where there is none.
        settings["bf16"] = {**settings["bf16"], "enabled": bf16}
        if ignored:
            names = ", ".join(ignored)
            reporter.log(
                f"{section.deepspeed_config}: {names}: decided by the recipe, ignored here"
            )
    return DeepSpeedEngine(loss, section, device, bf16=bf16, compiled=compiled, settings=settings)


def _check_attention(engine: Engine) -> None:
    """Refuse to train a network in which documents of a row see each other."""
    context = torch.autocast(engine.device.type, torch.bfloat16, enabled=engine.bf16)
    with context:
        leak = find_leak(engine.loss.model, use_varlen=engine.use_varlen)
    if leak > 0.0:
        raise TrainError(
            f"attention crosses documents: logits moved by {leak}; this network cannot be trained"
        )


def _resume(
    run: TrainRun, engine: Engine, checkpoints: Checkpoints, reporter: Reporter
) -> Checkpoint | None:
    if run.resume == "never":
        checkpoints.clear()
        return None
    found = checkpoints.newest(run.fingerprint)
    if found is None:
        if run.resume == "required":
            raise TrainError(f"{checkpoints.folder}: no whole checkpoint of this run to resume")
        return None
    state = found.state
    ours = (engine.name, engine.world_size, engine.zero_stage)
    theirs = (state.engine, state.world_size, state.zero_stage)
    if ours != theirs:
        raise TrainError(
            f"{found.folder}: saved by {theirs[0]} with {theirs[1]} processes and ZeRO {theirs[2]}; now it is "
            f"{ours[0]} with {ours[1]} and ZeRO {ours[2]}. Use the same, or start anew with resume: never",
            step=state.step,
            checkpoint=str(found.folder),
        )
    engine.load(found.folder)
    reporter.log(f"resuming from {found.folder.name}")
    return found


def _export(run: TrainRun, engine: Engine) -> None:
    state = engine.full_state()
    if engine.rank == 0:
        folder = run.output_dir / MODEL_NAME
        save_model(engine.loss.model, folder, tokenizer_dir=run.tokenizer_dir, state=state)


def _flops(run: TrainRun, reader: RowReader, count: int) -> float:
    try:
        shape = shape_of(run.model, vocab_size=reader.vocab_size, seq_len=reader.seq_len)
    except TonsaiError:
        # A family whose sizes are not known in detail: six operations per parameter, attention left out.
        return 6.0 * count
    return flops_per_token(shape)


def _write_status(run: TrainRun, parts: _Parts, outcome: Outcome) -> None:
    engine, plan = parts.engine, parts.plan
    status = {
        "state": "finished" if outcome.finished else "interrupted",
        "fingerprint": run.fingerprint,
        "step": outcome.step,
        "num_steps": plan.num_steps,
        "tokens": outcome.step * plan.step_tokens,
        "train_s": outcome.train_s,
        "checkpoint": str(outcome.checkpoint),
        "num_parameters": parts.num_parameters,
        "flops_per_token": parts.flops,
        "world_size": engine.world_size,
        "zero_stage": engine.zero_stage,
        "engine": engine.name,
        "device": engine.device.type,
        "precision": "bf16" if engine.bf16 else "fp32",
    }
    write_json(run.output_dir / STATUS_NAME, status)


def _record_failure(folder: Path, error: BaseException) -> None:
    """Leave the cause where the launcher finds it: the first process to fail knows it, the others only echo."""
    rank = int(os.environ.get("RANK", "0"))
    record = {
        "time": time.time(),
        "rank": rank,
        "error": type(error).__name__,
        "message": str(error),
        "is_ours": isinstance(error, TonsaiError),
        "step": getattr(error, "step", None),
        "checkpoint": getattr(error, "checkpoint", None),
        "traceback": traceback.format_exc(),
    }
    write_json(folder / f"failure-{rank}.json", record)


if __name__ == "__main__":
    sys.exit(main())
