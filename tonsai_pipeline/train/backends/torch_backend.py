"""One process, plain PyTorch: for debugging, for tests, and as the yardstick of the other backend."""

from __future__ import annotations

from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.model.loss import Batch, NextTokenLoss
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.backends.backend import Backend, arguments, finite_norm
from tonsai_pipeline.train.backends.divided import whole_fragments
from tonsai_pipeline.train.backends.optimizer import GuardedAdamW, make_optimizer
from tonsai_pipeline.train.backends.phases import LR_SCALE, learning_phases
from tonsai_pipeline.train.checkpoints.fragments import Fragment, FragmentReader


class TorchBackend(Backend):
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
        self._adam = make_optimizer(
            loss,
            section.optimizer,
            fused=device.type == "cuda",
            guarded=True,
            learns=learning_phases(loss.model, section.freeze),
        )
        self._call = torch.compile(loss, dynamic=False) if compiled else loss

    def full_state(self) -> dict[str, Tensor] | None:
        """Return the weights, on the CPU."""
        return {name: value.cpu() for name, value in self.loss.model.state_dict().items()}

    def _fragments(self) -> list[Fragment]:
        return whole_fragments(self.loss.model)

    def _refresh(self, reader: FragmentReader) -> None:
        """Do nothing: the masters are the weights."""

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        context = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()
        with context:
            return self._call(**arguments(batch))

    def _backward(self, loss: Tensor) -> None:
        loss.backward()

    def _update(self, lr: float) -> tuple[float, bool]:
        optimizer = cast("GuardedAdamW", self._adam)
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get(LR_SCALE, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return finite_norm(optimizer.grad_norm), optimizer.was_applied
