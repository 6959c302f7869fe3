"""RUN.json -> everything a run needs before its first step: the network in its backend, and the plan.

model + train sections, rows, device ──assemble──▶ Setup      refused where documents would see each other
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from tonsai_pipeline.errors import RecipeError, TrainError
from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.check import check_kernel, check_loss, find_leak, may_be_rounding
from tonsai_pipeline.model.distillation import DistillationLoss, open_teachers
from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.model.size import shape_of_network
from tonsai_pipeline.planner.hardware import peak_flops_of
from tonsai_pipeline.planner.laws import resolve, workload
from tonsai_pipeline.planner.network import Shape, flops_per_token
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.manifest import MANIFEST_NAME, read_manifest
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.backends.deepspeed_backend import DeepSpeedBackend
from tonsai_pipeline.train.backends.deepspeed_config import deepspeed_settings, merge_settings
from tonsai_pipeline.train.backends.torch_backend import TorchBackend
from tonsai_pipeline.train.base_model import measure_base
from tonsai_pipeline.train.launch import process
from tonsai_pipeline.train.loop.batch_plan import BatchPlan, make_plan
from tonsai_pipeline.train.micro_batch import Workload, find_micro_rows
from tonsai_pipeline.train.spec import TrainRun


@dataclass(frozen=True)
class Setup:
    """What is built before the first step.

    Args:
        run: The run, with numbers in place of `auto`.
        reasons: Why these numbers, by name.
        backend: The network and its optimizer.
        plan: Which rows when.
        network: Its sizes.
        peak_flops: What one device promises per second; None: unknown.
        base: The base model on held-out rows, before training; None: nothing is compared with it.
    """

    run: TrainRun
    reasons: Mapping[str, str]
    backend: Backend
    plan: BatchPlan
    network: Shape
    peak_flops: float | None
    base: Mapping[str, HeldOut] | None

    @property
    def flops(self) -> float:
        """Operations per token, forward and backward."""
        return flops_per_token(self.network)


Prepare = Callable[[TrainRun, PreTrainedModel, RowReader, Callable[[str], object]], None]
"""Changes a network in place before it is trained, see `job.Work.prepare`."""


def assemble(
    run: TrainRun,
    reader: RowReader,
    device: torch.device,
    reporter: Reporter,
    *,
    prepare: Prepare,
) -> Setup:
    """Build the network, its backend and the plan; called in every process.

    Raises:
        TrainError: The batch does not fit the rows, or documents would see each other.
        RecipeError: The network cannot be built.
    """
    if run.train.global_batch_tokens != "auto":
        _plan(run, reader)  # a batch that does not fit is known before anything is built
    dtype = process.choose_dtype(run.train, device)
    model = build_model(
        run.model,
        vocab_size=reader.vocab_size,
        seq_len=reader.seq_len,
        special_ids=reader.special_ids,
        seed=run.train.seed,
        tokenizer_dir=run.tokenizer_dir,
        on_change=reporter.log,
    )
    network = shape_of_network(model, reader.seq_len)
    prepare(run, model, reader, reporter.log)
    # A model from files is opened for measuring: without dropout, teachers and recomputed activations.
    cast("torch.nn.Module", model).train()
    run, reasons = _with_numbers(run, reader, network, reporter)
    section, plan = run.train, _plan(run, reader)
    if section.activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    loss = _make_loss(run, model, device, dtype)
    check_loss(loss)
    if section.micro_batch_rows == "auto":
        rows = find_micro_rows(Workload(run, plan, loss, network, device, dtype), reader, reporter)
        run = run.model_copy(
            update={"train": section.model_copy(update={"micro_batch_rows": rows})}
        )
        plan = _plan(run, reader)
    base = measure_base(run, plan.micro_rows, device, reporter)
    compiled = device.type == "cuda" if section.compile == "auto" else section.compile
    backend = _make_backend(run, plan, loss, device, dtype, compiled=compiled, reporter=reporter)
    _check_attention(backend, reader.seq_len)
    reporter.log(
        f"{network.num_parameters:,} parameters, {plan.num_steps:,} steps of {plan.step_tokens:,} tokens, "
        f"{plan.world_size} x {device.type}, {backend.precision}, {backend.name}"
        + (f" ZeRO {backend.zero_stage}" if backend.name == "deepspeed" else "")
    )
    if plan.num_empty_rows:
        reporter.log(
            f"{plan.global_rows} rows a step do not divide evenly: {plan.num_empty_rows} empty ones fill up"
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return Setup(run, reasons, backend, plan, network, peak_flops_of(name, backend.precision), base)


def _with_numbers(
    run: TrainRun, reader: RowReader, network: Shape, reporter: Reporter
) -> tuple[TrainRun, Mapping[str, str]]:
    """Decide what is `auto` and changes the result; it follows from shards, network and recipe alone."""
    if run.train.optimizer.lr == "auto" and run.model.base is not None:
        raise RecipeError(
            "optimizer.lr: auto follows a law for new weights, and these are not; name a rate"
        )
    work = workload(
        network, run.train, num_rows=reader.num_rows, packed_passes=_packed_passes(run.shards_dir)
    )
    if work is None:
        return run, {}
    train, reasons = resolve(run.train, work)
    for name, reason in reasons.items():
        reporter.log(f"{name}: auto: {reason}")
    return run.model_copy(update={"train": train}), reasons


def _make_loss(
    run: TrainRun, model: PreTrainedModel, device: torch.device, dtype: torch.dtype
) -> NextTokenLoss:
    section, teacher = run.train, run.train.teacher
    sums: dict[str, Any] = {
        "chunk_tokens": section.loss_chunk_tokens,
        "with_z": section.z_loss > 0.0,
    }
    if not teacher.models:
        return NextTokenLoss(model, **sums)
    vocab_size = int(model.config.vocab_size)
    teachers = open_teachers(
        teacher.models, run.tokenizer_dir, vocab_size=vocab_size, device=device, dtype=dtype
    )
    return DistillationLoss(
        model, teachers, weight=teacher.weight, temperature=teacher.temperature, **sums
    )


def _packed_passes(shards_dir: Path) -> float:
    """Return how often the packed rows hold their text, on average over tokens; 1 where nobody counted."""
    if not (shards_dir / MANIFEST_NAME).exists():
        return 1.0
    sources = read_manifest(shards_dir).report.get("sources", {}).values()
    counted = [found for found in sources if "available_tokens" in found]
    unique = sum(min(found["available_tokens"], found["num_tokens"]) for found in counted)
    return sum(found["num_tokens"] for found in counted) / unique if unique else 1.0


def _plan(run: TrainRun, reader: RowReader) -> BatchPlan:
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        return make_plan(
            run.train, num_rows=reader.num_rows, seq_len=reader.seq_len, world_size=world_size
        )
    except ValueError as error:
        raise TrainError(f"{run.shards_dir}: {error}") from error


def _make_backend(
    run: TrainRun,
    plan: BatchPlan,
    loss: NextTokenLoss,
    device: torch.device,
    dtype: torch.dtype,
    *,
    compiled: bool,
    reporter: Reporter,
) -> Backend:
    section = run.train
    if section.backend == "torch":
        return TorchBackend(loss, section, device, dtype, compiled=compiled)
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, "fp32")
    on_gpu = device.type == "cuda"
    settings = deepspeed_settings(section, plan, precision=precision, on_gpu=on_gpu)
    if section.deepspeed_config is not None:
        users = cast("dict[str, Any]", read_json(section.deepspeed_config))
        settings, ignored = merge_settings(settings, users)
        # Precision follows the hardware: a file written for an H100 must also run where there is none.
        for name in ("bf16", "fp16"):
            settings[name] = {**settings[name], "enabled": precision == name}
        if ignored:
            names = ", ".join(ignored)
            reporter.log(
                f"{section.deepspeed_config}: {names}: decided by the recipe, ignored here"
            )
    return DeepSpeedBackend(loss, section, device, dtype, compiled=compiled, settings=settings)


def _check_attention(backend: Backend, seq_len: int) -> None:
    """Refuse to train a network in which documents of a row see each other, on this device, in this precision."""
    model, dtype = backend.loss.model, backend.dtype
    if backend.use_varlen:
        check_kernel(model.config, backend.device, dtype, seq_len)
    context = torch.autocast(backend.device.type, dtype, enabled=dtype != torch.float32)
    with context:
        leak = find_leak(model, use_varlen=backend.use_varlen)
    if not may_be_rounding(leak, dtype):
        raise TrainError(
            f"attention crosses documents: logits moved by {leak:.2g} of their spread; this network cannot be "
            "trained"
        )
