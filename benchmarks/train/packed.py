"""Our way: the product's training job in this process, on packed rows whose documents do not see each other."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.tokenize_pack import prepared
from benchmarks.train.padded import Steps
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig, known
from tonsai_pipeline.storage.job_folder import METRICS_NAME, read_metrics
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.batch_plan import make_plan
from tonsai_pipeline.train.loop.feed import RowFeed
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun

NEVER = 1_000_000_000


class Quiet:
    """Nobody listens."""

    def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None:
        """Say nothing."""

    def log(self, message: str) -> None:
        """Say nothing."""


def describe(
    shards_dir: Path,
    tokenizer_dir: Path,
    output_dir: Path,
    model: ModelConfig,
    *,
    seq_len: int,
    rows: int,
    num_steps: int,
    **train: Any,
) -> TrainRun:
    """Describe a run of so many steps of so many rows, each step one micro batch unless `train` says else."""
    settings: dict[str, Any] = {
        "backend": "torch",
        "precision": "fp32",
        "compile": False,
        "max_tokens": num_steps * rows * seq_len,
        "global_batch_tokens": rows * seq_len,
        "micro_batch_rows": rows,
        "metrics": {"log_every_steps": 1, "tensorboard": False},
        "validation": {"every_steps": NEVER, "max_rows": 1},
        "checkpoint": {"every_steps": NEVER, "keep_last": 1},
        "guards": {"min_free_gb": 0.0},
    }
    return TrainRun(
        model=model,
        train=TrainConfig.model_validate(settings | train),
        shards_dir=shards_dir,
        tokenizer_dir=tokenizer_dir,
        output_dir=output_dir,
        fingerprint="benchmark",
        resume="never",
    )


def train_on(
    builder: Builder, model: ModelConfig, output_dir: Path, *, num_steps: int, **train: Any
) -> Path:
    """Train on the shards of a builder, 8 rows of 256 tokens a step; returns the folder of the model."""
    output_dir.mkdir(parents=True)
    run = describe(
        prepared.shards(builder).path,
        prepared.tokenizer(builder).path,
        output_dir,
        model,
        seq_len=256,
        rows=8,
        num_steps=num_steps,
        **train,
    )
    run.write()
    job.train(run, reporter=Quiet(), stop=StopRequest())
    return output_dir / MODEL_NAME


def train(run: TrainRun, *, warmup_steps: int) -> Steps:
    """Run the job and read what it says of each step but the first few."""
    shutil.rmtree(run.output_dir, ignore_errors=True)
    run.write()
    job.train(run, reporter=Quiet(), stop=StopRequest())
    feed, steps = open_feed(run), Steps()
    for record in read_metrics(run.output_dir / METRICS_NAME):
        if record["kind"] != "train" or record["step"] <= warmup_steps:
            continue
        steps.step_s.append(record["step_s"])
        steps.load_s.append(record["data_frac"] * record["step_s"])
        steps.targets.append(feed.take(record["step"] - 1, None).num_targets)
        steps.positions.append(known(run.train.global_batch_tokens))
    feed.close()
    return steps


def open_feed(run: TrainRun) -> RowFeed:
    """Open the rows as the job opens them."""
    reader = RowReader(run.shards_dir / "train")
    plan = make_plan(run.train, num_rows=reader.num_rows, seq_len=reader.seq_len, world_size=1)
    return RowFeed(reader, plan, 0, positions=run.model.positions, use_varlen=False, pinned=False)


def loader_alone(run: TrainRun, *, num_steps: int) -> dict[str, float]:
    """How fast one thread makes rows ready when nothing waits for the network."""
    feed = open_feed(run)
    feed.take(0, None)
    began = time.perf_counter()
    targets = sum(feed.take(step, None).num_targets for step in range(1, num_steps + 1))
    seconds = time.perf_counter() - began
    feed.close()
    return {
        "tokens/s of one thread": num_steps * known(run.train.global_batch_tokens) / seconds,
        "useful tokens/s of one thread": targets / seconds,
        "s a step": seconds / num_steps,
    }
