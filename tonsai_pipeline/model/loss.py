"""Next-token loss of packed rows.

    ids, targets (B, T) + borders ──network──▶ sum of -log p over targets, and of logsumexp^2

Sums, not means: a mean over micro batches with unequal numbers of targets would weigh tokens unequally. The
caller divides by the number of targets of the whole step, over all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from tonsai_pipeline.model.attention import Borders, block_mask

#: Target of a position that predicts nothing: padding, and the last token of a document.
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """Rows on a device, ready for the network.

    Args:
        input_ids: (B, T) int64.
        targets: (B, T) int64, the next token of the same segment, or `IGNORE`.
        position_ids: (B, T) int64.
        segment_ids: (B, T) int32, numbers the segments of each row; empty where `cu_seqlens` is used.
        cu_seqlens: (num_segments + 1,) int32 over the flat batch; empty where `segment_ids` is used.
    """

    input_ids: Tensor
    targets: Tensor
    position_ids: Tensor
    segment_ids: Tensor | None
    cu_seqlens: Tensor | None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; without waiting, where its memory is pinned."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """Return the batch in memory that a GPU can fetch by itself."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        segments, borders = self.segment_ids, self.cu_seqlens
        return Batch(
            input_ids=change(self.input_ids),
            targets=change(self.targets),
            position_ids=change(self.position_ids),
            segment_ids=None if segments is None else change(segments),
            cu_seqlens=None if borders is None else change(borders),
        )


class NextTokenLoss(nn.Module):
    """A causal model with its loss inside, so that `torch.compile` sees both.

    Args:
        model: A Hugging Face causal model whose attention is ours (`model/attention.py`).
        chunk_tokens: Tokens whose logits exist at a time; 0: all. Chunks are computed again in the backward
            pass: one more pass through the output layer for a fraction of its memory.
        with_z: Whether the second sum is computed, which costs a pass over the logits.
    """

    def __init__(
        self, model: PreTrainedModel, *, chunk_tokens: int = 0, with_z: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.chunk_tokens = chunk_tokens
        self.with_z = with_z

    def forward(
        self,
        input_ids: Tensor,
        targets: Tensor,
        position_ids: Tensor,
        segment_ids: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the summed negative log-likelihood, and the summed squared logsumexp (0 without `with_z`).

        Args:
            input_ids: (B, T), see `Batch`.
            targets: (B, T).
            position_ids: (B, T).
            segment_ids: (B, T), or `cu_seqlens` is given.
            cu_seqlens: (num_segments + 1,), or `segment_ids` is given.

        Returns:
            Two scalars, fp32, in nats.
        """
        if segment_ids is not None:
            borders = Borders(mask=block_mask(segment_ids))
        else:
            borders = Borders(cu_seqlens=cu_seqlens, max_seqlen=input_ids.shape[1])
        arguments = {
            "input_ids": input_ids,
            "position_ids": position_ids,
            "use_cache": False,
            **borders.as_kwargs(),
        }
        flat_targets = targets.flatten()
        taught = self._taught(arguments)
        if self.chunk_tokens == 0 or self.chunk_tokens >= len(flat_targets):
            # The whole model: what a family does to its logits, it does here.
            return self._sums(self.model(**arguments).logits.flatten(0, 1), flat_targets, *taught)
        hidden = hidden_of(self.model, arguments)
        nll = torch.zeros((), dtype=torch.float32, device=hidden.device)
        z = torch.zeros_like(nll)
        parts = (one.split(self.chunk_tokens) for one in (hidden, flat_targets, *taught))
        for chunk in zip(*parts, strict=True):
            more_nll, more_z = checkpoint(self._chunk, *chunk, use_reentrant=False)
            nll, z = nll + more_nll, z + more_z
        return nll, z

    def _chunk(self, hidden: Tensor, targets: Tensor, *taught: Tensor) -> tuple[Tensor, Tensor]:
        """(N, d), (N,) -> two scalars."""
        return self._sums(logits_of(self.model, hidden), targets, *taught)

    def _taught(self, arguments: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """What other networks make of the same rows: an (N, d') each; none here."""
        del arguments
        return ()

    def _sums(self, logits: Tensor, targets: Tensor, *taught: Tensor) -> tuple[Tensor, Tensor]:
        """(N, V), (N,) -> two scalars."""
        del taught
        # fp32 before the softmax: bf16 logits carry 8 bits, and sums over the vocabulary would lose them.
        logits = logits.float()
        if not self.with_z:
            nll = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
            return nll, torch.zeros_like(nll)
        valid = targets != IGNORE
        lse = torch.logsumexp(logits, dim=-1)
        chosen = logits.gather(1, targets.clamp(min=0)[:, None]).squeeze(1)
        return ((lse - chosen) * valid).sum(), (lse.square() * valid).sum()


def hidden_of(model: PreTrainedModel, arguments: Mapping[str, Any]) -> Tensor:
    """Rows -> (N, d), what the output layer reads."""
    backbone = cast("nn.Module", model.base_model)
    return backbone(**arguments).last_hidden_state.flatten(0, 1)


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """(N, d) -> (N, V).

    Knows what the common families do to their logits; `check.check_loss` refuses the others.
    """
    config = model.config
    logits = cast("nn.Module", model.get_output_embeddings())(hidden)
    if (factor := getattr(config, "logit_scale", None)) is not None:  # Cohere
        logits = logits * factor
    if (divisor := getattr(config, "logits_scaling", None)) is not None:  # Granite
        logits = logits / divisor
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma
        logits = cap * torch.tanh(logits.float() / cap)
    return logits
