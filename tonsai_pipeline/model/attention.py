"""Attention that never leaves its document, for any Hugging Face decoder.

    q, k, v (B, H, T, D) + where documents begin ──▶ (B, T, H, D)

transformers can infer packed documents from `position_ids`, but forgets them silently when a cache is on, when
a mask of ones is passed, or with flash attention and more than one row a batch. So the borders are passed
explicitly to an attention of our own, registered under `NAME`; called without borders it refuses.

Two ways to the same numbers: torch's variable-length kernel (half precision on a GPU, no mask in memory), and
SDPA with a block mask (everywhere else). Rows of a batch, documents in a row and the padding at its end are all
just *segments* of one long line of B x T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

NAME = "tonsai_varlen"


@dataclass(frozen=True)
class Borders:
    """Where the segments of a batch begin; exactly one of the two forms is filled.

    Args:
        mask: (B, 1, T, T) bool, true where a query may look at a key: same segment, not later.
        cu_seqlens: (num_segments + 1,) int32, borders in the flat line of B x T tokens. May end with
            repeats of B x T, so that its length, and with it the compiled kernel, stays the same.
        max_seqlen: An upper bound of the tokens in a segment; required with `cu_seqlens`.
    """

    mask: Tensor | None = None
    cu_seqlens: Tensor | None = None
    max_seqlen: int | None = None

    def as_kwargs(self) -> dict[str, Tensor | int]:
        """Return the keyword arguments that a model passes through to each attention layer."""
        if self.mask is not None:
            return {"segment_mask": self.mask}
        if self.cu_seqlens is None or self.max_seqlen is None:
            raise ValueError("borders need a mask, or cu_seqlens with max_seqlen")
        return {"cu_seqlens": self.cu_seqlens, "max_seqlen": self.max_seqlen}


def block_mask(segment_ids: Tensor) -> Tensor:
    """Return which keys each query may see: earlier or equal, in the same segment.

    Args:
        segment_ids: (B, T), any integers; equal neighbours belong together.

    Returns:
        (B, 1, T, T) bool.

    Example:
        >>> block_mask(torch.tensor([[0, 0, 1]]))[0, 0].int().tolist()
        [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    """
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return same.tril().unsqueeze(1)


def uses_varlen_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the variable-length kernel serves this device and precision."""
    return device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)


def register() -> None:
    """Make `NAME` known to transformers; harmless when called again."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _no_mask)


def attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _attention_mask: Tensor | None = None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    segment_mask: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend inside segments; the signature is that of transformers' attention functions.

    The layer itself and a mask, which they get too, are not looked at: the borders say everything.

    Args:
        query: (B, H, T, D).
        key: (B, H_kv, T, D); each key head serves H / H_kv query heads.
        value: (B, H_kv, T, D).
        dropout: Probability of dropping an attention weight; unknown to the kernel.
        scaling: Factor on the scores; empty: D ** -0.5.
        sliding_window: A query sees itself and the `sliding_window - 1` tokens before it; empty: no limit.
        softcap: Refused: neither way supports capped scores.
        segment_mask: (B, 1, T, T) bool, see `Borders.mask`.
        cu_seqlens: (num_segments + 1,) int32, see `Borders.cu_seqlens`.
        max_seqlen: Longest segment, in tokens.

    Returns:
        (B, T, H, D) and None, the attention weights that nobody asked for.

    Raises:
        ValueError: No borders given, or a softcap.
    """
    if softcap is not None:
        raise ValueError("attention with a softcap (as in Gemma 2) cannot be trained here")
    if segment_mask is not None:
        mask = segment_mask if sliding_window is None else _band(segment_mask, sliding_window)
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
        return out.transpose(1, 2), None
    if cu_seqlens is None or max_seqlen is None:
        raise ValueError(f"{NAME} attention was called without the borders of documents")
    if dropout > 0.0:
        raise ValueError("the variable-length kernel has no dropout: set `dropout: 0`")
    out = _attend_varlen(
        query,
        key,
        value,
        scaling=scaling,
        sliding_window=sliding_window,
        cu_seqlens=cu_seqlens,
        max_seqlen=max_seqlen,
    )
    return out, None


def find_leak(model: PreTrainedModel, *, use_varlen: bool, num_tokens: int = 16) -> float:
    """Change one document of a row and return how much the logits of the next one move; 0.0 is right.

    Args:
        model: A model whose attention is `NAME`, in whatever precision it will train.
        use_varlen: Which of the two ways to try.
        num_tokens: Tokens in the row; the border is in the middle.

    Returns:
        The largest absolute difference of a logit.
    """
    device = model.device
    half = num_tokens // 2
    ids = torch.arange(num_tokens, device=device).remainder(model.config.vocab_size)[None]
    other = ids.clone()
    other[:, :half] = (ids[:, :half] + 1).remainder(model.config.vocab_size)
    if use_varlen:
        cu = torch.tensor([0, half, num_tokens], dtype=torch.int32, device=device)
        borders = Borders(cu_seqlens=cu, max_seqlen=num_tokens)
    else:
        borders = Borders(mask=block_mask((torch.arange(num_tokens, device=device) >= half)[None]))
    was_training = model.training
    model.eval()
    with torch.no_grad():
        kwargs = {"use_cache": False, **borders.as_kwargs()}
        logits = [model(x, **kwargs).logits[:, half:].float() for x in (ids, other)]
    model.train(was_training)
    return (logits[0] - logits[1]).abs().max().item()


def _no_mask(*_: object, **__: object) -> None:
    """Build no mask: ours arrives as a keyword argument."""


def _band(mask: Tensor, window: int) -> Tensor:
    """Keep only the `window` newest keys of each query."""
    return mask & torch.ones_like(mask).triu(1 - window)


def _attend_varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    sliding_window: int | None,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> Tensor:
    # Imported here: the module looks for CUDA kernels that a CPU build of torch may lack.
    from torch.nn.attention.varlen import varlen_attn

    batch, num_heads, length, width = query.shape
    q, k, v = (
        x.transpose(1, 2).reshape(batch * length, x.shape[1], width) for x in (query, key, value)
    )
    window = -1 if sliding_window is None else sliding_window - 1
    # The same tensor object twice: cuDNN takes the causal path only then.
    out = varlen_attn(
        q,
        k,
        v,
        cu_seqlens,
        cu_seqlens,
        max_seqlen,
        max_seqlen,
        scale=scaling,
        window_size=(window, 0),
        enable_gqa=num_heads != key.shape[1],
    )
    assert isinstance(out, Tensor)
    return out.reshape(batch, length, num_heads, width)
