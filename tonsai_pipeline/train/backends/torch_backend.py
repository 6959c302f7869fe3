"""One process, plain PyTorch: for debugging, for tests, and as the yardstick of the other backend."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.model.loss import Batch, NextTokenLoss
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.backends.backend import Backend, arguments, compile_loss, finite_norm
from tonsai_pipeline.train.backends.divided import whole_fragments
from tonsai_pipeline.train.backends.guarded import GuardedAdamW
from tonsai_pipeline.train.backends.loss_scale import LossScale
from tonsai_pipeline.train.backends.optimizer import make_optimizer
from tonsai_pipeline.train.backends.phases import learning_phases, rate_of
from tonsai_pipeline.train.checkpoints.fragments import Fragment, FragmentReader


class TorchBackend(Backend):
    """One process, no DeepSpeed: for debugging, tests, and as the yardstick of the other backend."""

    name = "torch"
    zero_stage = 0

    def __init__(
        self,
        loss: NextTokenLoss,
        section: TrainConfig,
        device: torch.device,
        dtype: torch.dtype,
        *,
        compiled: bool,
    ) -> None:
        super().__init__(loss.to(device), section, device, dtype)
        if self.world_size > 1:
            raise TrainError("train.backend: torch runs in one process; use deepspeed for more")
        self._adam = make_optimizer(
            loss,
            section.optimizer,
            fused=device.type == "cuda",
            guarded=True,
            learns=learning_phases(loss.model, section.freeze),
        )
        self._scale = LossScale() if dtype == torch.float16 else None
        self._call = compile_loss(loss) if compiled else loss

    def full_state(self) -> dict[str, Tensor] | None:
        """Return the weights, on the CPU."""
        return {name: value.cpu() for name, value in self.loss.model.state_dict().items()}

    def scale_state(self) -> dict[str, float]:
        """Return the loss scale."""
        return {} if self._scale is None else self._scale.state()

    def load_scale_state(self, state: Mapping[str, float]) -> None:
        """Restore it."""
        if self._scale is not None and state:
            self._scale.load_state(state)

    def _fragments(self) -> list[Fragment]:
        return whole_fragments(self.loss.model)

    def _refresh(self, reader: FragmentReader) -> None:
        """Do nothing: the masters are the weights."""

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        wide = self.dtype == torch.float32
        with nullcontext() if wide else torch.autocast(self.device.type, self.dtype):
            return self._call(**arguments(batch))

    def _backward(self, loss: Tensor) -> None:
        (loss if self._scale is None else loss * self._scale.value).backward()

    def _update(self, lr: float) -> tuple[float, bool]:
        optimizer = cast("GuardedAdamW", self._adam)
        for group in optimizer.param_groups:
            group["lr"] = rate_of(group, lr)
        if self._scale is not None:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.div_(self._scale.value)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if self._scale is not None:
            self._scale.update(applied=optimizer.was_applied)
        return finite_norm(optimizer.grad_norm), optimizer.was_applied
