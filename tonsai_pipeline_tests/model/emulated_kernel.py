"""torch's variable-length attention on a CPU, segment by segment, as strict as its kernels on a GPU.

Only the two operators get a CPU implementation: what torch does around them (choice of a kernel, gradients,
shapes for torch.compile) is what a GPU runs. Refused, as there: fp32, mixed types, segments without tokens,
borders that do not end where the tokens do, heads wider than 256.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention import varlen

from tonsai_pipeline.model import held_out
from tonsai_pipeline.train.backends import backend


@contextmanager
def emulated() -> Iterator[list[int]]:
    """Let networks in half precision take the kernel on a CPU; gives the number of segments of each call."""
    _register()
    _CALLS.clear()
    before = backend.uses_varlen_kernel

    def serves(device: torch.device, dtype: torch.dtype) -> bool:
        return device.type == "cpu" and dtype in (torch.bfloat16, torch.float16)

    backend.uses_varlen_kernel = held_out.uses_varlen_kernel = serves
    try:
        yield _CALLS
    finally:
        backend.uses_varlen_kernel = held_out.uses_varlen_kernel = before


_CALLS: list[int] = []


@cache
def _register() -> None:
    varlen._varlen_attn.register_kernel("cpu")(_forward)
    varlen._varlen_attn_backward.register_kernel("cpu")(_backward)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor | None,
    max_q: int,
    max_k: int,
    is_causal: bool = False,
    scale: float | None = None,
    window_size: list[int] | None = None,
    enable_gqa: bool = False,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor]:
    _refuse(query, key, value, cu_seq_q, max_q)
    _CALLS.append(len(cu_seq_q) - 1)
    with torch.no_grad():
        out, lse = _attend(query, key, value, cu_seq_q, scale, window_size or [-1, -1])
    return out, lse, torch.zeros(2, dtype=torch.uint64)


def _backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    is_causal: bool,
    rng_state: Tensor,
    scale: float | None = None,
    window_size: list[int] | None = None,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor]:
    assert grad_out.dtype == query.dtype
    grads = [torch.zeros_like(x, dtype=torch.float32) for x in (query, key, value)]
    groups, factor = query.shape[1] // key.shape[1], _scale(query, scale)
    for span in _segments(cu_seq_q):
        weights = _scores(query[span], key[span], scale, window_size or [-1, -1]).softmax(-1)
        q, k, v, g = (x[span].float().transpose(0, 1) for x in (query, key, value, grad_out))
        k, v = (x.repeat_interleave(groups, 0) for x in (k, v))
        of_weights = g @ v.transpose(1, 2)
        of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True))
        found = (of_scores @ k * factor, of_scores.transpose(1, 2) @ q * factor)
        for grad, part in zip(grads, (*found, weights.transpose(1, 2) @ g), strict=True):
            heads = grad.shape[1]
            grad[span] = part.unflatten(0, (heads, -1)).sum(1).transpose(0, 1)
    dq, dk, dv = (grad.to(query.dtype) for grad in grads)
    return dq, dk, dv


def _refuse(query: Tensor, key: Tensor, value: Tensor, borders: Tensor, longest: int) -> None:
    types = {x.dtype for x in (query, key, value)}
    if len(types) != 1 or not types <= {torch.bfloat16, torch.float16}:
        raise RuntimeError(f"the kernel takes bf16 or fp16, one for all: {types}")
    lengths = borders.diff()
    if borders.dtype != torch.int32 or borders[0] != 0 or borders[-1] != len(query):
        raise RuntimeError(f"borders {borders} of {len(query)} tokens")
    if (lengths < 1).any() or (lengths > longest).any():
        raise RuntimeError(f"a segment of {int(lengths.min())} or {int(lengths.max())} tokens")
    if query.shape[-1] > 256:
        raise RuntimeError(f"heads of {query.shape[-1]}")


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    borders: Tensor,
    scale: float | None,
    window: list[int],
) -> tuple[Tensor, Tensor]:
    """(tokens, H, D) -> the same, and (H, tokens) logsumexp."""
    outs, sums = [], []
    for span in _segments(borders):
        scores = _scores(query[span], key[span], scale, window)
        v = value[span].float().transpose(0, 1).repeat_interleave(len(scores) // value.shape[1], 0)
        sums.append(scores.logsumexp(-1))
        outs.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(outs).to(query.dtype), torch.cat(sums, 1)


def _scores(query: Tensor, key: Tensor, scale: float | None, window: list[int]) -> Tensor:
    """(n, H, D), (n, H_kv, D) -> (H, n, n), -inf where a query may not look."""
    q, k = (x.float().transpose(0, 1) for x in (query, key))
    scores = q @ k.repeat_interleave(len(q) // len(k), 0).transpose(1, 2) * _scale(query, scale)
    place = torch.arange(len(query))
    behind = place[:, None] - place[None]
    hidden = (behind < 0) if window[1] == 0 else torch.zeros_like(behind, dtype=torch.bool)
    if window[0] >= 0:
        hidden |= behind > window[0]
    return scores.masked_fill(hidden, float("-inf"))


def _scale(query: Tensor, scale: float | None) -> float:
    return query.shape[-1] ** -0.5 if scale is None else scale


def _segments(borders: Tensor) -> list[slice]:
    return [slice(a, b) for a, b in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True)]
