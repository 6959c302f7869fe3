"""Any number of processes, states divided by ZeRO.

DeepSpeed computes and communicates; optimizer, schedule and checkpoints are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from tonsai_pipeline.model.loss import Batch, NextTokenLoss
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.backends.backend import (
    Backend,
    allow_graphs,
    arguments,
    finite_norm,
)
from tonsai_pipeline.train.backends.divided import (
    buffers_of,
    divided_fragments,
    owned_matrices,
    refresh_weights,
    whole_fragments,
)
from tonsai_pipeline.train.backends.guarded import GuardedAdamW
from tonsai_pipeline.train.backends.muon import DividedMuon
from tonsai_pipeline.train.backends.optimizer import make_optimizer
from tonsai_pipeline.train.backends.phases import learning_phases, rate_of
from tonsai_pipeline.train.checkpoints.fragments import Fragment, FragmentReader

#: What a dynamic loss scaler of DeepSpeed remembers.
_SCALER = frozenset({"cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis"})


class DeepSpeedBackend(Backend):
    """Any number of processes, states divided by ZeRO.

    Args:
        loss: The network with its loss.
        section: The recipe's train section.
        device: Where this process computes.
        dtype: Type of the parameters; those of half precision have fp32 masters.
        compiled: Whether torch.compile builds the network.
        settings: From `deepspeed_config.py`, the user's own file merged in.
    """

    name = "deepspeed"

    def __init__(
        self,
        loss: NextTokenLoss,
        section: TrainConfig,
        device: torch.device,
        dtype: torch.dtype,
        *,
        compiled: bool,
        settings: dict[str, Any],
    ) -> None:
        import deepspeed  # ten seconds of imports that the torch backend does not need

        self.zero_stage = int(settings["zero_optimization"]["stage"])
        self._guarded = self.zero_stage == 0 and dtype == torch.float32
        offload = settings["zero_optimization"].get("offload_optimizer", {}).get("device", "none")
        if self._guarded:
            settings = {**settings, "gradient_clipping": 0.0}
        optimizer = make_optimizer(
            loss,
            section.optimizer,
            fused=device.type == "cuda" and offload == "none",
            guarded=self._guarded,
            learns=learning_phases(loss.model, section.freeze),
        )
        self._adam = optimizer
        # Untyped on purpose: DeepSpeed's annotations do not know what its wrappers forward.
        self.engine: Any = deepspeed.initialize(model=loss, optimizer=optimizer, config=settings)[0]
        if isinstance(optimizer, DividedMuon):
            optimizer.matrices = owned_matrices(self.engine.optimizer, dist.get_rank())
        if compiled:
            allow_graphs()
            self.engine.compile(compile_kwargs={"dynamic": False})
        super().__init__(loss, section, device, dtype)

    def full_state(self) -> dict[str, Tensor] | None:
        """Return all weights, gathered one by one where ZeRO 3 divides them."""
        model = self.loss.model
        if self.zero_stage < 3:
            return {k: v.cpu() for k, v in model.state_dict().items()} if self.rank == 0 else None
        import deepspeed

        state = {name: value.cpu() for name, value in buffers_of(model).items()}
        # A tied weight once, under its first name: two copies of it would be written as two.
        for name, parameter in model.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter]):
                if self.rank == 0:
                    state[name] = parameter.detach().cpu().clone()
        return state if self.rank == 0 else None

    def scale_state(self) -> dict[str, float]:
        """Return what DeepSpeed's loss scaler remembers."""
        if self.dtype != torch.float16:
            return {}
        scaler = self.engine.optimizer.loss_scaler
        return {name: float(getattr(scaler, name)) for name in _SCALER if hasattr(scaler, name)}

    def load_scale_state(self, state: Mapping[str, float]) -> None:
        """Restore it."""
        if self.dtype == torch.float16:
            scaler = self.engine.optimizer.loss_scaler
            for name in _SCALER & state.keys():
                setattr(scaler, name, type(getattr(scaler, name))(state[name]))

    def _fragments(self) -> list[Fragment]:
        if not self.is_divided:
            return whole_fragments(self.loss.model)
        zero, stage = self.engine.optimizer, self.zero_stage
        return divided_fragments(self.loss.model, zero, stage=stage, rank=self.rank)

    def _refresh(self, reader: FragmentReader) -> None:
        if self.is_divided:
            zero, stage = self.engine.optimizer, self.zero_stage
            refresh_weights(self.loss.model, zero, reader, stage=stage, rank=self.rank)

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.engine(**arguments(batch))

    def _backward(self, loss: Tensor) -> None:
        self.engine.backward(loss, scale_wrt_gas=False)
        # DeepSpeed counts micro batches in step(); the last of them is the update.
        if not self.engine.is_gradient_accumulation_boundary():
            self.engine.step()

    def _update(self, lr: float) -> tuple[float, bool]:
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate_of(group, lr)
        self.engine.step()
        if self._guarded:
            guarded = cast("GuardedAdamW", self._adam)
            return finite_norm(guarded.grad_norm), guarded.was_applied
        return finite_norm(self.engine.get_global_grad_norm()), bool(self.engine.was_step_applied())
