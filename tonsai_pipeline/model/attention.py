"""Attention that never leaves its document, for any Hugging Face decoder.

    q, k, v (B, H, T, D) + where documents begin ──▶ (B, T, H, D)

transformers can infer packed documents from `position_ids`, but forgets them silently when a cache is on, when
a mask of ones is passed, or with flash attention and more than one row a batch. So the borders are passed
explicitly to an attention of our own, registered under `NAME`; called without borders it refuses.

Two ways to the same numbers: torch's variable-length kernel (half precision on a GPU, no mask in memory), and
SDPA with a block mask (everywhere else, and with dropout, which the kernel does not know). Rows of a batch,
documents in a row and the padding at its end are all just *segments* of one long line of B x T tokens.

Nothing that would change the numbers is ignored: an argument that is not known here is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "tonsai_varlen"

#: Arguments that transformers hands to every attention and that the numbers do not depend on here: positions
#: are in queries and keys already, and the borders are causal.
_KNOWN = frozenset(
    {
        "cache_position",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "position_ids",
        "return_dict",
        "use_cache",
    }
)


@dataclass(frozen=True)
class Borders:
    """Where the segments of a batch begin; exactly one of the two forms is filled.

    Args:
        mask: (B, 1, T, T) bool, true where a query may look at a key: same segment, not later.
        cu_seqlens: (num_segments + 1,) int32, borders in the flat line of B x T tokens, strictly ascending:
            kernels differ in what they do with an empty segment.
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
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    segment_mask: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend inside segments; the signature is that of transformers' attention functions.

    Args:
        module: The layer; named in errors only.
        query: (B, H, T, D).
        key: (B, H_kv, T, D); each key head serves H / H_kv query heads.
        value: (B, H_kv, T, D_v). Its type is that of the result: rotary embeddings leave queries and keys in
            fp32 under autocast, and no kernel takes mixed types.
        attention_mask: Refused: the borders say everything.
        dropout: Probability of dropping an attention weight; unknown to the kernel.
        scaling: Factor on the scores; empty: D ** -0.5.
        sliding_window: A query sees itself and the `sliding_window - 1` tokens before it; empty: no limit.
        segment_mask: (B, 1, T, T) bool, see `Borders.mask`.
        cu_seqlens: (num_segments + 1,) int32, see `Borders.cu_seqlens`.
        max_seqlen: Longest segment, in tokens.
        others: Refused, but for those that do not change the numbers.

    Returns:
        (B, T, H, D_v) and None, the attention weights that nobody asked for.

    Raises:
        ValueError: No borders given, or an argument that neither way computes: attention sinks (gpt-oss), a
            softcap (Gemma 2), a mask, a bias.
    """
    _refuse_unknown(module, attention_mask, others)
    query, key = query.to(value.dtype), key.to(value.dtype)
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
        raise ValueError("the variable-length kernel has no dropout: pass a segment mask")
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


def _no_mask(*_: object, **__: object) -> None:
    """Build no mask: ours arrives as a keyword argument."""


def _refuse_unknown(
    module: nn.Module, attention_mask: Tensor | None, others: Mapping[str, object]
) -> None:
    unknown = [name for name, given in others.items() if given is not None and name not in _KNOWN]
    if others.get("is_causal", True) is True and "is_causal" in unknown:
        unknown.remove("is_causal")
    if attention_mask is not None:
        unknown.append("attention_mask")
    if unknown:
        raise ValueError(
            f"{type(module).__name__} computes its attention with {', '.join(unknown)}, which no packed attention "
            "supports"
        )


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

    batch, num_heads, length, _ = query.shape
    q, k, v = (
        x.transpose(1, 2).reshape(batch * length, x.shape[1], x.shape[3])
        for x in (query, key, value)
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
    return out.reshape(batch, length, num_heads, value.shape[3])
