"""The network with its optimizer, behind one small face: DeepSpeed on any number of processes, or plain torch.

    micro batches of a step ──forward, backward──▶ gradients ──clip, AdamW──▶ weights,  StepResult

Both divide the summed loss by the number of targets of the whole step over all processes, so the gradient is
that of the true mean whatever the micro batches and processes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tonsai_pipeline.model.attention import uses_varlen_kernel
from tonsai_pipeline.model.build import dropout_of
from tonsai_pipeline.model.loss import Batch, NextTokenLoss
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.backends.average import WeightAverage
from tonsai_pipeline.train.backends.divided import buffers_of
from tonsai_pipeline.train.checkpoints.fragments import (
    Fragment,
    FragmentReader,
    read_fragment,
    write_fragments,
)
from tonsai_pipeline.train.loop.stopwatch import COMPUTE, UPDATE

#: Folder of the state inside a checkpoint.
STATE_DIR = "state"


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did.

    Args:
        loss: Mean negative log-likelihood over the step's targets, in nats.
        lse_squared: Mean squared logsumexp; 0 without z-loss.
        grad_norm: Global gradient norm before clipping; inf where it was not finite.
        applied: Whether the weights changed.
        num_targets: Predicted tokens of the step, over all processes.
    """

    loss: float
    lse_squared: float
    grad_norm: float
    applied: bool
    num_targets: int


class Backend(ABC):
    """A network that can be trained, measured, saved and loaded; every method is called in all processes."""

    name: str
    zero_stage: int
    _adam: torch.optim.AdamW

    def __init__(
        self, loss: NextTokenLoss, section: TrainConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.loss = loss
        self.device = device
        self.dtype = dtype
        self.z_loss = section.z_loss
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        has_dropout = dropout_of(loss.model.config) > 0.0
        self.use_varlen = uses_varlen_kernel(device, dtype) and not has_dropout
        self._average = WeightAverage()

    def step(
        self,
        batches: Iterable[Batch],
        *,
        num_targets: int,
        lr: float,
        lap: Callable[[str], object] = lambda _: None,
    ) -> StepResult:
        """Take one optimizer step.

        Args:
            batches: Micro batches of this process, on any device.
            num_targets: Predicted tokens of the step over all processes.
            lr: Learning rate.
            lap: Called when a part of the step ends: `COMPUTE` (forward and backward), then `UPDATE`.
        """
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for batch in batches:
            nll, z = self._forward(batch.to(self.device))
            # DeepSpeed averages gradients over processes; the factor turns that into a sum.
            self._backward((nll + self.z_loss * z) * (self.world_size / num_targets))
            sums += torch.stack([nll.detach(), z.detach()]).double()
        if self.device.type == "cuda":
            # Without waiting, the time of the kernels would be counted where the next number is read.
            torch.cuda.synchronize(self.device)
        lap(COMPUTE)
        grad_norm, applied = self._update(lr)
        if self.world_size > 1:
            dist.all_reduce(sums)
        means = (sums / num_targets).tolist()
        lap(UPDATE)
        return StepResult(means[0], means[1], grad_norm, applied, num_targets)

    def measure(self, batch: Batch) -> Tensor:
        """Return the summed negative log-likelihood of a batch, in nats, without gradients."""
        self.loss.eval()
        with torch.no_grad():
            nll, _ = self._forward(batch)
        self.loss.train()
        return nll

    def save(self, folder: Path) -> list[Path]:
        """Write this process's part of weights and optimizer state below `folder`; return its files.

        Nothing is gathered: each process writes what it owns.
        """
        states = folder / STATE_DIR
        states.mkdir(exist_ok=True)
        writes_all = self.rank == 0
        fragments = self._fragments() if writes_all or self.is_divided else []
        return write_fragments(
            states,
            fragments,
            self._adam,
            buffers_of(self.loss.model) if writes_all else {},
            prefix=f"{self.rank:05d}-of-{self.world_size:05d}",
            averages=self._average.values() if writes_all or self.is_divided else (),
        )

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote, by whatever engine, ZeRO stage and number of processes.

        Raises:
            StorageError: A file cannot be read, or is of another network.
        """
        reader = FragmentReader(folder / STATE_DIR)
        fragments = self._fragments()
        for fragment in fragments:
            read_fragment(reader, fragment, self._adam, fused=self._is_fused)
        self._average.load(reader, fragments)
        self._refresh(reader)
        if buffers := reader.buffers():
            self.loss.model.load_state_dict(buffers, strict=False)

    def average(self, part: float) -> None:
        """Move the mean of the weights towards those of the step just taken, see `average.part_of_step`."""
        self._average.update(self._fragments(), part)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Compute with the mean of the weights in place of the last ones; not with ZeRO 3, which divides both."""
        own: list[tuple[nn.Parameter, Tensor]] = []
        with torch.no_grad():
            for name, parameter in self.loss.model.named_parameters():
                if parameter.requires_grad:
                    mean = self._average.whole(name, parameter, is_divided=self.is_divided)
                    # In host memory: at the end of a run too, the GPU may be full.
                    own.append((parameter, parameter.to("cpu", copy=True)))
                    parameter.copy_(mean)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, last in own:
                    parameter.copy_(last)

    @property
    def _is_fused(self) -> bool:
        return bool(self._adam.defaults.get("fused"))

    @property
    def optimizer(self) -> torch.optim.AdamW:
        """Torch's optimizer; its groups are those that were made, also where DeepSpeed divides the state."""
        return self._adam

    @property
    def is_divided(self) -> bool:
        """Whether processes hold different parts of the state."""
        return self.zero_stage > 0

    @property
    def precision(self) -> str:
        """The name of `dtype` in a recipe."""
        return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(self.dtype, "fp32")

    @abstractmethod
    def scale_state(self) -> dict[str, float]:
        """Return where the loss scale of fp16 stands; empty for other types."""

    @abstractmethod
    def load_scale_state(self, state: Mapping[str, float]) -> None:
        """Restore what `scale_state` returned."""

    @abstractmethod
    def full_state(self) -> dict[str, Tensor] | None:
        """Return all weights on the CPU in process 0, None elsewhere."""

    @abstractmethod
    def _fragments(self) -> list[Fragment]: ...

    @abstractmethod
    def _refresh(self, reader: FragmentReader) -> None: ...

    @abstractmethod
    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def _backward(self, loss: Tensor) -> None: ...

    @abstractmethod
    def _update(self, lr: float) -> tuple[float, bool]: ...


def arguments(batch: Batch) -> dict[str, Tensor | None]:
    """Return the arguments of `NextTokenLoss.forward`."""
    if batch.cu_seqlens is not None:
        # One compiled network for any number of documents: nothing in it but the kernel sees how many there are.
        torch._dynamo.mark_dynamic(batch.cu_seqlens, 0)  # noqa: SLF001  # documented there
    return {
        "input_ids": batch.input_ids,
        "targets": batch.targets,
        "position_ids": batch.position_ids,
        "segment_ids": batch.segment_ids,
        "cu_seqlens": batch.cu_seqlens,
    }


def allow_graphs() -> None:
    """Let torch.compile build a network for training, one for measuring, and a few more if it must.

    Past its limit it computes without a word what it has not compiled, at a fraction of the speed.
    """
    torch._dynamo.config.recompile_limit = 32  # noqa: SLF001  # the documented switch


def compile_loss(loss: NextTokenLoss) -> Callable[..., tuple[Tensor, Tensor]]:
    """Compile a network for the shapes it is called with."""
    allow_graphs()
    return torch.compile(loss, dynamic=False)


def finite_norm(value: Tensor | float | None) -> float:
    """Return a gradient norm, inf where it is not finite or unknown."""
    if value is None:
        return float("inf")
    norm = float(value)
    return norm if math.isfinite(norm) else float("inf")
