"""One measurement of `train_gpu.py`: a few steps of the product's own training job, or of its attention."""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.train import generated
from benchmarks.train.packed import NEVER, Quiet, describe
from tonsai_pipeline.model.attention import Borders, attend, block_mask, uses_varlen_kernel
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics
from tonsai_pipeline.train import job
from tonsai_pipeline.train.backends import backend
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoints
from tonsai_pipeline.train.loop.stop import StopAfter, StopRequest
from tonsai_pipeline.train.spec import TrainRun

#: First steps that are not measured: they compile, choose kernels and fill caches.
WARMUP_STEPS = 3


@dataclass(frozen=True)
class Size:
    """What is trained.

    Args:
        model: The network with the heads of a case put in.
        seq_len: Tokens of a row.
        vocab_size: Rows of the embedding.
        num_steps: Of a case, those not measured included.
        precision: "bf16" or "fp32".
    """

    model: ModelConfig
    seq_len: int
    vocab_size: int
    num_steps: int
    precision: str


FULL = Size(ModelConfig(num_layers=24, hidden_size=1536, num_heads=24), 2048, 50_000, 20, "bf16")
DRY = Size(ModelConfig(num_layers=2, hidden_size=32, num_heads=4), 64, 256, 4, "fp32")


def measure(case: dict[str, Any], size: Size, work: Path) -> dict[str, Any]:
    """Do what a case says.

    Args:
        case: `kind` and the settings of that kind.
        size: What is trained.
        work: Folder for shards and runs; shared by the cases.
    """
    if case["kind"] == "attention":
        return attention(case, size)
    if case["kind"] == "matmul":
        return matmul(dry=size is DRY)
    if case["kind"] == "resume":
        return resume(case, size, work)
    return steps(case, size, work)


def steps(case: dict[str, Any], size: Size, work: Path) -> dict[str, Any]:
    """Train a few steps and read what the job says of them."""
    _choose_backend(case.get("attention", "default"))
    run = _run(case, size, work, "steps")
    shutil.rmtree(run.output_dir, ignore_errors=True)
    run.write()
    extensions = _watch_extensions(work)
    began = time.perf_counter()
    with _forced_mask(wanted=case.get("attention") == "mask"):
        job.train(run, reporter=Quiet(), stop=StopRequest())
    wall_s = time.perf_counter() - began
    records = _records(run)
    measured = [r for r in records if r["step"] > WARMUP_STEPS]
    compute_s = statistics.median(r["split_s"]["compute"] for r in measured)
    update_s = statistics.median(r["split_s"]["update"] for r in measured)
    status: Any = read_json(run.output_dir / STATUS_NAME)
    return {
        "num_parameters": status["num_parameters"],
        "tokens_per_s": statistics.median(r["tokens_per_s"] for r in measured),
        "mfu": _median(measured, "mfu"),
        "peak_memory_gb": _median(measured, "peak_memory_gb"),
        "loader_share": sum(r["data_frac"] * r["step_s"] for r in measured)
        / sum(r["step_s"] for r in measured),
        "compute_s": compute_s,
        "update_s": update_s,
        "first_step_s": records[0]["step_s"],
        "wall_s": wall_s,
        "final_loss": records[-1]["last_loss"],
        "compiled_extensions": sorted(p.name for p in extensions.iterdir()),
    }


def resume(case: dict[str, Any], size: Size, work: Path) -> dict[str, Any]:
    """Compare a run with one that was stopped in the middle and went on, number by number."""
    whole = _run(case, size, work, "whole")
    broken = _run(case, size, work, "broken")
    for run in (whole, broken):
        shutil.rmtree(run.output_dir, ignore_errors=True)
        run.write()
    job.train(whole, reporter=Quiet(), stop=StopRequest())
    stopped = job.train(broken, reporter=Quiet(), stop=StopAfter(size.num_steps // 2))
    assert not stopped.finished, "the run ended before it was stopped"
    size_gb = sum(p.stat().st_size for p in broken.output_dir.rglob("*") if p.is_file()) / 1e9
    again = broken.model_copy(update={"resume": "required"})
    with _timed(Checkpoints, "save") as save_s, _timed(Backend, "load") as load_s:
        job.train(again, reporter=Quiet(), stop=StopRequest())
    found = [[(r["last_loss"], r["grad_norm"]) for r in _records(run)] for run in (whole, broken)]
    weights = [load_file(r.output_dir / "model" / "model.safetensors") for r in (whole, broken)]
    differences = [abs(a[0] - b[0]) for a, b in zip(*found, strict=True)]
    return {
        "losses and gradient norms equal to the last digit": found[0] == found[1],
        "weights equal to the last bit": all(
            torch.equal(weights[0][name], weights[1][name]) for name in weights[0]
        ),
        "largest difference of a loss": max(differences),
        "checkpoint_gb": size_gb,
        "save_s": max(save_s),
        "load_s": max(load_s),
    }


def attention(case: dict[str, Any], size: Size) -> dict[str, Any]:
    """Compare our attention with SDPA under a block mask, forward and backward; time both on a GPU."""
    _choose_backend(case.get("attention", "default"))
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    dtype = torch.bfloat16 if on_gpu else torch.float32
    batch, heads, width = (4, 24, case["head_dim"]) if on_gpu else (2, 2, case["head_dim"])
    length = size.seq_len
    torch.manual_seed(0)
    qkv = [torch.randn(batch, heads, length, width, device=device, dtype=dtype) for _ in range(3)]
    cuts = sorted({0, length // 3, length // 2, length})
    starts = [row * length + cut for row in range(batch) for cut in cuts[:-1]]
    cu = torch.tensor([*starts, batch * length], dtype=torch.int32, device=device)
    segments = torch.zeros(batch, length, dtype=torch.int32, device=device)
    for number, (first, end) in enumerate(itertools.pairwise(cuts)):
        segments[:, first:end] = number
    masked = Borders(mask=block_mask(segments)).as_kwargs()
    varlen = Borders(cu_seqlens=cu, max_seqlen=length).as_kwargs()
    kwargs = varlen if uses_varlen_kernel(device, dtype) else masked
    ours, ours_s = _forward_backward(qkv, kwargs)
    reference, reference_s = _forward_backward([x.float() for x in qkv], masked)
    errors = [(a.float() - b).abs().max().item() for a, b in zip(ours, reference, strict=True)]
    return {
        "kernel": "varlen" if kwargs is varlen else "mask",
        "error_forward": errors[0],
        "error_gradients": max(errors[1:]),
        "largest_value": max(x.abs().max().item() for x in reference),
        "ours_s": ours_s,
        "fp32_mask_s": reference_s,
    }


def matmul(*, dry: bool) -> dict[str, Any]:
    """What the device itself does: square products in bf16, the ceiling of every MFU."""
    on_gpu = torch.cuda.is_available()
    side, repeats = (8192, 50) if on_gpu else (256, 2)
    assert on_gpu or dry
    device = "cuda" if on_gpu else "cpu"
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    _ = a @ b
    _wait()
    began = time.perf_counter()
    for _ in range(repeats):
        _ = a @ b
    _wait()
    return {"tflops": 2 * side**3 * repeats / (time.perf_counter() - began) / 1e12}


@contextmanager
def _timed(owner: type, method: str) -> Iterator[list[float]]:
    """Collect the seconds of each call of a method."""
    seconds: list[float] = []
    real = getattr(owner, method)

    def timed(*args: Any, **kwargs: Any) -> Any:
        _wait()
        began = time.perf_counter()
        result = real(*args, **kwargs)
        seconds.append(time.perf_counter() - began)
        return result

    setattr(owner, method, timed)
    try:
        yield seconds
    finally:
        setattr(owner, method, real)


@contextmanager
def _forced_mask(*, wanted: bool) -> Iterator[None]:
    """Let the backend believe that there is no kernel for documents of different lengths."""
    real = backend.uses_varlen_kernel
    if wanted:
        backend.uses_varlen_kernel = lambda *_: False
    try:
        yield
    finally:
        backend.uses_varlen_kernel = real


def _run(case: dict[str, Any], size: Size, work: Path, name: str) -> TrainRun:
    shards = work / f"shards-{size.seq_len}"
    rows = case["micro"] * case.get("accum", 2)
    if not shards.exists():
        num_rows = 64 if size is DRY else 512
        generated.write_shards(
            shards, seq_len=size.seq_len, vocab_size=size.vocab_size, num_rows=num_rows
        )
        generated.write_tokenizer(work / "tokenizer")
    model = size.model.model_copy(update={"num_heads": case.get("heads", size.model.num_heads)})
    return describe(
        shards,
        work / "tokenizer",
        work / name,
        model,
        seq_len=size.seq_len,
        rows=rows,
        num_steps=size.num_steps,
        micro_batch_rows=case["micro"],
        backend=case.get("backend", "torch"),
        zero_stage=1,
        precision=size.precision,
        compile=case.get("compile", False),
        deterministic=case.get("deterministic", False),
        loss_chunk_tokens=case.get("chunk", 0),
        activation_checkpointing=case.get("recompute", False),
        guards={"min_free_gb": 0.0, "on_full_disk": "skip"},
        checkpoint={"every_steps": NEVER, "keep_last": 1},
    ).model_copy(update={"resume": "auto"})


def _choose_backend(name: str) -> None:
    """default: torch chooses; flash: without cuDNN; mask: SDPA with a block mask."""
    torch.backends.cuda.enable_cudnn_sdp(name != "flash")


def _watch_extensions(work: Path) -> Path:
    """Give torch and DeepSpeed an empty folder for what they would compile; it must stay empty."""
    folder = work / "extensions"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.environ["TORCH_EXTENSIONS_DIR"] = str(folder)
    return folder


def _records(run: TrainRun) -> list[dict[str, Any]]:
    return [r for r in read_metrics(run.output_dir / METRICS_NAME) if r["kind"] == "train"]


def _median(records: list[dict[str, Any]], name: str) -> float | None:
    found = [r[name] for r in records if name in r]
    return statistics.median(found) if found else None


def _forward_backward(
    qkv: list[torch.Tensor], kwargs: dict[str, Any]
) -> tuple[list[torch.Tensor], float]:
    leaves = [x.clone().requires_grad_() for x in qkv]
    module = torch.nn.Module()
    seconds: list[float] = []
    out = leaves[0]
    for _ in range(5):
        for leaf in leaves:
            leaf.grad = None
        _wait()
        began = time.perf_counter()
        out, _ = attend(module, *leaves, **kwargs)
        out.square().sum().backward()
        _wait()
        seconds.append(time.perf_counter() - began)
    grads = [leaf.grad for leaf in leaves]
    assert all(grad is not None for grad in grads)
    return [out.detach(), *grads], min(seconds)  # pyright: ignore[reportReturnType]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
