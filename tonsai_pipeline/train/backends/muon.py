"""Muon for the matrices of a network, AdamW for the rest, in one optimizer: clip ▶ orthogonalize ▶ update.

    weights of linear layers, without the output layer ──▶ groups marked `muon`     fused q, k, v: three matrices
    embeddings, output layer, norms, biases            ──▶ AdamW's groups

A matrix is known by the layer it belongs to, not by its name. Clipping comes first: the norm of an orthogonalized
gradient says nothing, and clipped by it all updates would shrink (DeepSpeed's issue 8439). So gradients must lie whole in
each process when the optimizer steps: in one process, with ZeRO 0 in fp32, and with ZeRO 1 in bf16, where each process
makes the updates of the matrices that it owns a part of.

Source:
    Jordan et al. 2024, "Muon"; Liu et al. 2025, "Muon is Scalable for LLM Training", arXiv:2502.16982: updates as
    large as AdamW's, so that its rate and decay serve. The update is `torch.optim.Muon`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention
from transformers.pytorch_utils import Conv1D

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.train.backends.guarded import GuardedAdamW
from tonsai_pipeline.train.backends.phases import embeddings_of
from tonsai_pipeline.train.checkpoints.fragments import MOMENTUM, MUON

#: Families whose linear layers are one matrix each, but for GPT-2's `c_attn`.
_FAMILIES = frozenset(
    {"gpt2", "llama", "qwen2", "qwen3", "mistral", "gemma3_text", "olmo2", "smollm3"}
)


def matrices_of(model: PreTrainedModel) -> dict[int, int]:
    """Return the weights that Muon updates, by `id`, and how many matrices each is, side by side.

    Raises:
        RecipeError: How this family fuses its projections is not known.
    """
    family = model.config.model_type
    if family not in _FAMILIES:
        raise RecipeError(
            f"train.optimizer.name: muon: it is not known which projections of {family} are fused; known are "
            f"{', '.join(sorted(_FAMILIES))}. Take adamw"
        )
    outside = {id(weight) for weight in embeddings_of(model)}
    fused = {
        id(part.c_attn.weight): 2 if part.is_cross_attention else 3
        for part in model.modules()
        if isinstance(part, GPT2Attention)
    }
    return {
        id(part.weight): fused.get(id(part.weight), 1)
        for part in model.modules()
        if isinstance(part, nn.Linear | Conv1D) and id(part.weight) not in outside
    }


def change_of(gradient: Tensor, mean: Tensor, num_fused: int, lr: float) -> Tensor:
    """Return what Muon adds to a matrix.

    Args:
        gradient: (rows, columns), clipped.
        mean: Of the same shape: the running mean of gradients, moved in place.
        num_fused: Matrices side by side, each orthogonalized by itself.
        lr: Learning rate; the root mean square of the change is 0.2 of it, as AdamW's is.
    """
    change = torch.zeros_like(gradient)
    pieces = change.chunk(num_fused, dim=-1)
    for piece, part in zip(pieces, gradient.chunk(num_fused, dim=-1), strict=True):
        piece.grad = part
    # It is made for one update, because where a gradient lies changes between steps.
    muon = torch.optim.Muon(pieces, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for piece, part in zip(pieces, mean.chunk(num_fused, dim=-1), strict=True):
        muon.state[piece] = {MOMENTUM: part}
    muon.step()
    return change


class GuardedMuon(GuardedAdamW):
    """`GuardedAdamW` whose groups marked `muon` are Muon's; gradients and weights are whole."""

    def _update_first(self) -> None:
        for group in self.param_groups:
            for parameter, num_fused in zip(group["params"], group.get(MUON, ()), strict=False):
                if parameter.grad is None:
                    continue
                mean = _momentum(self, parameter)
                change = change_of(parameter.grad, mean, num_fused, group["lr"])
                with torch.no_grad():
                    parameter.mul_(1.0 - group["lr"] * group["weight_decay"]).add_(change)
                # AdamW follows, and passes over what has no gradient.
                parameter.grad = None


@dataclass(frozen=True)
class OwnedMatrix:
    """What a process owns of a matrix, with ZeRO 1.

    Args:
        gradient: (rows, columns) whole, over all processes.
        start: Where the owned stretch begins in the flattened matrix.
        offset: Where it begins in the process's flat weights.
        length: Of the stretch; 0: nothing.
        is_split: Whether other processes own parts of it.
    """

    gradient: Tensor
    start: int
    offset: int
    length: int
    is_split: bool


class DividedMuon(torch.optim.AdamW):
    """AdamW over flat stretches of weights, as ZeRO 1 divides them, whose groups marked `muon` are Muon's.

    Gradients are clipped before it steps. Whoever owns a part of a matrix makes the whole update and takes its part, so that
    it does not depend on the number of processes.
    """

    matrices: Sequence[Sequence[OwnedMatrix]] = ()
    """For each group, its matrices in order; the same number in each process."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch declares overloads
        """Update the matrices, then the rest."""
        for group, matrices in zip(self.param_groups, self.matrices, strict=True):
            if MUON not in group:
                continue
            (flat,) = cast("list[Tensor]", group["params"])
            means = _momentum(self, flat)
            with torch.no_grad():
                flat.mul_(1.0 - group["lr"] * group["weight_decay"])
                for matrix, num_fused in zip(matrices, group[MUON], strict=True):
                    _update_owned(matrix, flat, means, num_fused, group["lr"])
            flat.grad = None
        return super().step(closure)


def _update_owned(
    matrix: OwnedMatrix, flat: Tensor, means: Tensor, num_fused: int, lr: float
) -> None:
    own = means.narrow(0, matrix.offset, matrix.length)
    mean = own
    if matrix.is_split:
        # Each value is one process's, and zero elsewhere: the sum is exact.
        mean = means.new_zeros(matrix.gradient.numel())
        mean.narrow(0, matrix.start, matrix.length).copy_(own)
        dist.all_reduce(mean)
    if not matrix.length:
        return
    change = change_of(matrix.gradient, mean.view(matrix.gradient.shape), num_fused, lr)
    flat.narrow(0, matrix.offset, matrix.length).add_(
        change.view(-1).narrow(0, matrix.start, matrix.length)
    )
    if matrix.is_split:
        own.copy_(mean.narrow(0, matrix.start, matrix.length))


def _momentum(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor:
    state = optimizer.state[parameter]
    if MOMENTUM not in state:
        state[MOMENTUM] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    return state[MOMENTUM]
