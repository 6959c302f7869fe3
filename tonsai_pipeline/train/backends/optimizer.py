"""Model -> AdamW over two groups: matrices are decayed, everything else is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tonsai_pipeline.recipe.train import OptimizerConfig, known
from tonsai_pipeline.train.backends.phases import group_key


def make_optimizer(
    module: nn.Module,
    section: OptimizerConfig,
    *,
    fused: bool,
    guarded: bool,
    learns: Mapping[int, tuple[bool, ...]] | None = None,
) -> torch.optim.AdamW:
    """Build the optimizer.

    Args:
        module: The network.
        section: Rates, decay and clipping.
        fused: Whether torch's fused kernel does the update (GPU); never DeepSpeed's own, which must be
            compiled on the user's machine with a matching nvcc.
        guarded: Whether the optimizer clips and checks gradients itself. DeepSpeed does so for ZeRO 1 to 3
            and for bf16, but not for plain fp32.
        learns: In which phases each parameter learns, see `phases.learning_phases`.
    """
    groups = parameter_groups(module, known(section.weight_decay), learns or {})
    betas, lr = (section.beta1, section.beta2), known(section.lr)
    if guarded:
        optimizer = GuardedAdamW(groups, lr=lr, betas=betas, eps=section.eps, fused=fused)
        optimizer.grad_clip = section.grad_clip
        return optimizer
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=section.eps, fused=fused)


def parameter_groups(
    module: nn.Module, weight_decay: float, learns: Mapping[int, tuple[bool, ...]]
) -> list[dict[str, object]]:
    """Divide parameters into decayed matrices and the rest: biases, norms, embeddings.

    Each of the two is divided once more by the phases in which its parameters learn. Embeddings stay undecayed because a rare token's row would shrink at every step in which it does not occur.
    """
    embeddings = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, nn.Embedding)
        for parameter in part.parameters(recurse=False)
    }
    groups: dict[tuple[bool, tuple[bool, ...]], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            is_decayed = parameter.ndim >= 2 and id(parameter) not in embeddings
            groups.setdefault((is_decayed, learns.get(id(parameter), ())), []).append(parameter)
    return [
        {"params": found, "weight_decay": weight_decay if is_decayed else 0.0, **group_key(phases)}
        for (is_decayed, phases), found in sorted(
            groups.items(), key=lambda pair: pair[0], reverse=True
        )
    ]


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
        return super().step(closure)
