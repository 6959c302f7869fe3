"""AdamW that clips and checks gradients itself, where nobody else does; gradients must be whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn


class GuardedAdamW(torch.optim.AdamW):
    """AdamW that clips the global gradient norm, and changes nothing when that norm is not finite."""

    grad_clip: float = 0.0
    """Largest norm; 0 clips nothing."""

    grad_norm: float = 0.0
    """Norm of the last step before clipping."""

    @property
    def was_applied(self) -> bool:
        """Whether the last step changed the weights."""
        return math.isfinite(self.grad_norm)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch declares overloads
        """Clip and update, or leave everything as it is."""
        parameters = [
            p for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        norm = nn.utils.get_total_norm([cast("Tensor", p.grad) for p in parameters])
        self.grad_norm = norm.item()
        if not self.was_applied:
            return None
        if self.grad_clip > 0.0:
            nn.utils.clip_grads_with_norm_(parameters, self.grad_clip, norm)
        self._update_first()
        return super().step(closure)

    def _update_first(self) -> None:
        """Update what is not AdamW's, and take its gradients away."""
