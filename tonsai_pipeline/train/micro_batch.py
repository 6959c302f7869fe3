"""`micro_batch_rows: auto` -> the largest micro batch that fits, the same in every process.

    kept from an earlier start? ──▶ rows        else: sizes ──a trial each, or an estimate──▶ the largest that fits

What was found is kept in the run's folder with what it depends on: a run that goes on there takes the same rows to the
last digit. The rows of a step, and so the loss, do not depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.model.attention import uses_varlen_kernel
from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.build import dropout_of
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.planner.network import (
    MemoryEstimate,
    Shape,
    held_by,
    memory_per_gpu,
)
from tonsai_pipeline.planner.presets import usable_bytes
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.loop.batch_plan import BatchPlan, micro_batch_sizes
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline.train.trial import CudaMemory, Memory, Trial, largest_that_fits

KEPT_NAME = "micro_batch_rows.json"
#: More rows at a time make nothing faster: on a CPU from a few on, on a GPU long before so many.
_MOST_ON_CPU, _MOST_ON_GPU = 32, 512
_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Workload:
    """What is to fit.

    Args:
        run: Its train section says how states are divided and what is saved.
        plan: Rows of a step.
        loss: The network.
        network: Its sizes.
        device: Of this process.
        dtype: In which it computes.
    """

    run: TrainRun
    plan: BatchPlan
    loss: NextTokenLoss
    network: Shape
    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """The precision of weights and states; plain torch keeps them in fp32."""
        if self.run.train.backend == "torch":
            return "fp32"
        return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(self.dtype, "fp32")

    def estimate(self, num_rows: int) -> MemoryEstimate:
        """Return the planner's estimate."""
        section = self.run.train
        return memory_per_gpu(
            self.network,
            zero_stage=0 if section.backend == "torch" else section.zero_stage,
            world_size=self.plan.world_size,
            micro_batch_rows=num_rows,
            precision=self.precision,
            activation_checkpointing=section.activation_checkpointing,
            loss_chunk_tokens=section.loss_chunk_tokens,
            offload_optimizer=section.offload_optimizer,
            **held_by(section, self.network),
        )

    def facts(self) -> dict[str, Any]:
        """Return what the choice depends on."""
        section = self.run.train
        on_gpu = self.device.type == "cuda"
        return {
            "fingerprint": self.run.fingerprint,
            "world_size": self.plan.world_size,
            "device": torch.cuda.get_device_name(self.device) if on_gpu else "cpu",
            "precision": self.precision,
            "backend": section.backend,
            "zero_stage": section.zero_stage,
            "offload_optimizer": section.offload_optimizer,
            "activation_checkpointing": section.activation_checkpointing,
            "loss_chunk_tokens": section.loss_chunk_tokens,
        }


def find_micro_rows(work: Workload, reader: RowReader, reporter: Reporter) -> int:
    """Return how many rows a process takes at a time; called in every process, the same in all.

    Args:
        work: What is to fit.
        reader: Rows for the trial steps.
        reporter: Shows the choice.

    Raises:
        TrainError: Not even one row fits.
    """
    path = work.run.output_dir / KEPT_NAME
    if (kept := _read_kept(path, work)) is not None:
        reporter.log(f"micro_batch_rows: auto: {kept}, as before")
        return kept
    on_gpu = work.device.type == "cuda"
    own_rows = -(-work.plan.global_rows // work.plan.world_size)
    sizes = micro_batch_sizes(own_rows, _MOST_ON_GPU if on_gpu else _MOST_ON_CPU)
    memory = memory_of(work.device)
    room = usable_bytes(_free_bytes(memory), on_gpu=memory is not None)
    need = _estimated(work) if memory is None else _tried(work, reader, memory)
    found = _least(largest_that_fits(sizes, lambda rows: need(rows) <= room) or 0, work)
    if not found:
        raise TrainError(
            f"micro_batch_rows: auto: not one row fits: it takes {need(1) / 1e9:.1f} GB with all states, "
            f"{max(room, 0.0) / 1e9:.1f} GB may be taken. Take train.activation_checkpointing, train.loss_chunk_tokens or "
            "train.offload_optimizer, more processes, a smaller network or shorter rows (packing.seq_len). With ZeRO 3 a "
            "trial holds all weights: name a number there"
        )
    reporter.log(
        f"micro_batch_rows: auto: {found} of up to {sizes[-1]} rows, {need(found) / 1e9:.2f} of {room / 1e9:.2f} GB by "
        + ("an estimate" if memory is None else "trial steps")
    )
    if work.plan.world_size == 1 or dist.get_rank() == 0:
        write_json(path, {"rows": found, **work.facts()})
    return found


def lower_micro_rows(run: TrainRun, plan: BatchPlan) -> int | None:
    """Keep the next smaller size after memory ran out; None if there is none, or a person chose the rows.

    Any process may call this, and all would write the same.
    """
    path = run.output_dir / KEPT_NAME
    own_rows = -(-plan.global_rows // plan.world_size)
    smaller = [rows for rows in micro_batch_sizes(own_rows, own_rows) if rows < plan.micro_rows]
    if run.train.micro_batch_rows != "auto" or not smaller or not path.exists():
        return None
    kept = cast("dict[str, Any]", read_json(path))
    write_json(path, {**kept, "rows": smaller[-1]})
    return smaller[-1]


def memory_of(device: torch.device) -> Memory | None:
    """Return how a device counts; None where it does not, and memory is estimated."""
    return CudaMemory() if device.type == "cuda" else None


def _estimated(work: Workload) -> Callable[[int], float]:
    return lambda rows: float(work.estimate(rows).total)


def _tried(work: Workload, reader: RowReader, memory: Memory) -> Callable[[int], float]:
    known = work.estimate(1)
    states = known.parameters + known.gradients + known.optimizer
    is_plain = work.run.train.backend == "torch"
    is_half = work.dtype != torch.float32
    has_dropout = dropout_of(work.loss.model.config) > 0.0
    use_varlen = uses_varlen_kernel(work.device, work.dtype) and not has_dropout
    trial = Trial(
        work.loss,
        lambda rows: make_batch(
            reader,
            [row % reader.num_rows for row in range(rows)],
            positions=work.run.model.positions,
            use_varlen=use_varlen,
        ),
        memory,
        device=work.device,
        weights=torch.float32 if is_plain else work.dtype,
        context=(lambda: torch.autocast(work.device.type, work.dtype))
        if is_plain and is_half
        else nullcontext,
    )
    found: dict[int, float] = {}

    def need(rows: int) -> float:
        if rows not in found:
            found[rows] = states + trial.bytes_of(rows)
        return found[rows]

    return need


def _free_bytes(memory: Memory | None) -> float:
    """Return what is free on the device of this process, its peers' part left to them."""
    if memory is not None:
        return memory.free_bytes()
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = float(pages)
    if _MEMINFO.exists():
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = float(lines["MemAvailable"].split()[0]) * 1024
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        free = min(free, float(most) - float(used.read_text()))
    return free / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _read_kept(path: Path, work: Workload) -> int | None:
    """Return what an earlier start of this very work kept; process 0 looks, and tells the others."""
    found: list[int | None] = [None]
    looks = work.plan.world_size == 1 or dist.get_rank() == 0
    if looks and path.exists() and work.run.resume != "never":
        kept = cast("dict[str, Any]", read_json(path))
        if kept == {"rows": kept.get("rows"), **work.facts()}:
            found = [int(kept["rows"])]
    if work.plan.world_size > 1:
        dist.broadcast_object_list(found, src=0)
    return found[0]


def _least(rows: int, work: Workload) -> int:
    if work.plan.world_size == 1:
        return rows
    shared = torch.tensor([rows], dtype=torch.int64, device=work.device)
    dist.all_reduce(shared, op=dist.ReduceOp.MIN)
    return int(shared.item())
