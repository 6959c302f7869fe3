"""The network with its optimizer, behind one small face: DeepSpeed on any number of processes, or plain torch.

    micro batches of a step ──forward, backward──▶ gradients ──clip, AdamW──▶ weights,  StepResult

Both divide the summed loss by the number of targets of the whole step over all processes, so the gradient is
that of the true mean whatever the micro batches and processes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.model.attention import uses_varlen_kernel
from tonsai_pipeline.model.loss import Batch, NextTokenLoss
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.optimizer import GuardedAdamW, make_optimizer

_TAG = "state"
_STATE_NAME = "state.pt"


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did.

    Args:
        loss: Mean negative log-likelihood over the step's targets, in nats.
        lse_squared: Mean squared logsumexp; 0 without z-loss.
        grad_norm: Global gradient norm before clipping; inf where it was not finite.
        applied: Whether the weights changed.
    """

    loss: float
    lse_squared: float
    grad_norm: float
    applied: bool


class Engine(ABC):
    """A network that can be trained, measured, saved and loaded; every method is called in all processes."""

    name: str
    zero_stage: int

    def __init__(
        self, loss: NextTokenLoss, section: TrainConfig, device: torch.device, *, bf16: bool
    ) -> None:
        self.loss = loss
        self.device = device
        self.bf16 = bf16
        self.z_loss = section.z_loss
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        self.use_varlen = uses_varlen_kernel(device, torch.bfloat16 if bf16 else torch.float32)

    def step(self, batches: Iterable[Batch], *, num_targets: int, lr: float) -> StepResult:
        """Take one optimizer step.

        Args:
            batches: Micro batches of this process.
            num_targets: Predicted tokens of the step over all processes.
            lr: Learning rate.
        """
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for batch in batches:
            nll, z = self._forward(batch)
            # DeepSpeed averages gradients over processes; the factor turns that into a sum.
            self._backward((nll + self.z_loss * z) * (self.world_size / num_targets))
            sums += torch.stack([nll.detach(), z.detach()]).double()
        grad_norm, applied = self._update(lr)
        if self.world_size > 1:
            dist.all_reduce(sums)
        means = (sums / num_targets).tolist()
        return StepResult(means[0], means[1], grad_norm, applied)

    def measure(self, batch: Batch) -> Tensor:
        """Return the summed negative log-likelihood of a batch, in nats, without gradients."""
        self.loss.eval()
        with torch.no_grad():
            nll, _ = self._forward(batch)
        self.loss.train()
        return nll

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and optimizer state below `folder`, which exists."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""

    @abstractmethod
    def full_state(self) -> dict[str, Tensor] | None:
        """Return all weights on the CPU in process 0, None elsewhere."""

    @abstractmethod
    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def _backward(self, loss: Tensor) -> None: ...

    @abstractmethod
    def _update(self, lr: float) -> tuple[float, bool]: ...


class TorchEngine(Engine):
    """One process, no DeepSpeed: for debugging, tests, and as the yardstick of the other engine."""

    name = "torch"
    zero_stage = 0

    def __init__(
        self,
        loss: NextTokenLoss,
        section: TrainConfig,
        device: torch.device,
        *,
        bf16: bool,
        compiled: bool,
    ) -> None:
        super().__init__(loss.to(device), section, device, bf16=bf16)
        if self.world_size > 1:
            raise TrainError("train.engine: torch runs in one process; use deepspeed for more")
        self.optimizer = cast(
            "GuardedAdamW",
            make_optimizer(loss, section.optimizer, fused=device.type == "cuda", guarded=True),
        )
        self._call = torch.compile(loss, dynamic=False) if compiled else loss

    def save(self, folder: Path) -> None:
        """Write weights and optimizer state in one file."""
        state = {"module": self.loss.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, folder / _STATE_NAME)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        state = torch.load(folder / _STATE_NAME, map_location=self.device, weights_only=True)
        self.loss.model.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])

    def full_state(self) -> dict[str, Tensor] | None:
        """Return the weights, on the CPU."""
        return {name: value.cpu() for name, value in self.loss.model.state_dict().items()}

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        context = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()
        with context:
            return self._call(**_arguments(batch))

    def _backward(self, loss: Tensor) -> None:
        loss.backward()

    def _update(self, lr: float) -> tuple[float, bool]:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return _norm(self.optimizer.grad_norm), self.optimizer.was_applied


class DeepSpeedEngine(Engine):
    """Any number of processes, states divided by ZeRO.

    Args:
        loss: The network with its loss.
        section: The recipe's train section.
        device: Where this process computes.
        bf16: Whether parameters are bf16 with fp32 masters.
        compiled: Whether torch.compile builds the network.
        settings: From `deepspeed_config.py`, the user's own file merged in.
    """

    name = "deepspeed"

    def __init__(
        self,
        loss: NextTokenLoss,
        section: TrainConfig,
        device: torch.device,
        *,
        bf16: bool,
        compiled: bool,
        settings: dict[str, Any],
    ) -> None:
        import deepspeed  # ten seconds of imports that the torch engine does not need

        self.zero_stage = int(settings["zero_optimization"]["stage"])
        self._guarded = self.zero_stage == 0 and not bf16
        if self._guarded:
            settings = {**settings, "gradient_clipping": 0.0}
        optimizer = make_optimizer(
            loss, section.optimizer, fused=device.type == "cuda", guarded=self._guarded
        )
        self._adam = optimizer
        # Untyped on purpose: DeepSpeed's annotations do not know what its wrappers forward.
        self.engine: Any = deepspeed.initialize(model=loss, optimizer=optimizer, config=settings)[0]
        if compiled:
            self.engine.compile(compile_kwargs={"dynamic": False})
        super().__init__(loss, section, device, bf16=bf16)

    def save(self, folder: Path) -> None:
        """Write what DeepSpeed writes: one file of weights, one of optimizer state a process."""
        self.engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; the number of processes must be the same.

        DeepSpeed unpickles these files: load only checkpoints that you trust.
        """
        path, _ = self.engine.load_checkpoint(str(folder), tag=_TAG)
        if path is None:
            raise TrainError(f"{folder}: DeepSpeed found no checkpoint in it")

    def full_state(self) -> dict[str, Tensor] | None:
        """Return all weights, gathered one by one where ZeRO 3 divides them."""
        model = self.loss.model
        if self.zero_stage < 3:
            return {k: v.cpu() for k, v in model.state_dict().items()} if self.rank == 0 else None
        import deepspeed

        state = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            with deepspeed.zero.GatheredParameters([parameter]):
                if self.rank == 0:
                    state[name] = parameter.detach().cpu().clone()
        return state if self.rank == 0 else None

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.engine(**_arguments(batch))

    def _backward(self, loss: Tensor) -> None:
        self.engine.backward(loss, scale_wrt_gas=False)
        # DeepSpeed counts micro batches in step(); the last of them is the update.
        if not self.engine.is_gradient_accumulation_boundary():
            self.engine.step()

    def _update(self, lr: float) -> tuple[float, bool]:
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        self.engine.step()
        if self._guarded:
            guarded = cast("GuardedAdamW", self._adam)
            return _norm(guarded.grad_norm), guarded.was_applied
        return _norm(self.engine.get_global_grad_norm()), bool(self.engine.was_step_applied())


def _arguments(batch: Batch) -> dict[str, Tensor | None]:
    return {
        "input_ids": batch.input_ids,
        "targets": batch.targets,
        "position_ids": batch.position_ids,
        "segment_ids": batch.segment_ids,
        "cu_seqlens": batch.cu_seqlens,
    }


def _norm(value: Tensor | float | None) -> float:
    if value is None:
        return float("inf")
    norm = float(value)
    return norm if math.isfinite(norm) else float("inf")
