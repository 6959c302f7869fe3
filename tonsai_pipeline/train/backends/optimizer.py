"""Model -> AdamW, or Muon with AdamW, over groups: matrices are decayed, everything else is not."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.train import OptimizerConfig, known
from tonsai_pipeline.train.backends.guarded import GuardedAdamW
from tonsai_pipeline.train.backends.muon import DividedMuon, GuardedMuon, matrices_of
from tonsai_pipeline.train.backends.phases import OWN_SCALE, group_key
from tonsai_pipeline.train.checkpoints.fragments import MUON


def make_optimizer(
    loss: NextTokenLoss,
    section: OptimizerConfig,
    *,
    fused: bool,
    guarded: bool,
    learns: Mapping[int, tuple[bool, ...]] | None = None,
) -> torch.optim.AdamW:
    """Build the optimizer.

    Args:
        loss: The network.
        section: Rates, decay and clipping.
        fused: Whether torch's fused kernel does the update (GPU); never DeepSpeed's own, which must be
            compiled on the user's machine with a matching nvcc.
        guarded: Whether the optimizer clips and checks gradients itself. DeepSpeed does so for ZeRO 1 to 3
            and for bf16, but not for plain fp32.
        learns: In which phases each parameter learns, see `phases.learning_phases`.

    Raises:
        RecipeError: Muon for a network whose projections are not known.
    """
    is_muon = section.name == "muon"
    matrices = matrices_of(loss.model) if is_muon else {}
    groups = parameter_groups(loss, section, learns or {}, matrices)
    if guarded:
        make = GuardedMuon if is_muon else GuardedAdamW
    else:
        make = DividedMuon if is_muon else torch.optim.AdamW
    optimizer = make(
        groups,
        lr=known(section.lr),
        betas=(section.beta1, section.beta2),
        eps=section.eps,
        fused=fused,
    )
    if isinstance(optimizer, GuardedAdamW):
        optimizer.grad_clip = section.grad_clip
    return optimizer


def parameter_groups(
    module: nn.Module,
    section: OptimizerConfig,
    learns: Mapping[int, tuple[bool, ...]],
    matrices: Mapping[int, int],
) -> list[dict[str, object]]:
    """Divide parameters into decayed matrices and the rest: biases, norms, embeddings.

    Each is divided once more by the phases in which its parameters learn; the matrices that Muon updates and embeddings with a
    rate of their own stand apart.
    Embeddings stay undecayed because a rare token's row would shrink at every step in which it does not occur.

    Args:
        module: The network.
        section: Rates and decay.
        learns: In which phases each parameter learns, by `id`.
        matrices: What Muon updates, from `muon.matrices_of`.
    """
    embeddings = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, nn.Embedding)
        for parameter in part.parameters(recurse=False)
    }
    scale = 1.0 if section.embedding_lr is None else section.embedding_lr / known(section.lr)
    groups: dict[tuple[bool, tuple[bool, ...], bool, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            is_embedding = id(parameter) in embeddings
            is_decayed = parameter.ndim >= 2 and not is_embedding
            own = scale if is_embedding else 1.0
            kind = (is_decayed, learns.get(id(parameter), ()), id(parameter) in matrices, own)
            groups.setdefault(kind, []).append(parameter)
    return [
        {
            "params": found,
            "weight_decay": known(section.weight_decay) if is_decayed else 0.0,
            **group_key(phases),
            **({OWN_SCALE: own} if own != 1.0 else {}),
            **({MUON: [matrices[id(parameter)] for parameter in found]} if is_matrix else {}),
        }
        for (is_decayed, phases, is_matrix, own), found in sorted(
            groups.items(), key=lambda pair: pair[0], reverse=True
        )
    ]
