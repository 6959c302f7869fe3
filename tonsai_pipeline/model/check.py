"""Does our way through a network give its own numbers? Asked before anything is trained or measured.

    ids ──its own forward, a document at a time──▶ logits  ==  logits ◀──ours, packed in one row── ids

transformers' families differ in what they do to scores and logits (scales, caps, sinks), and new ones arrive. A
difference found here is refused by name; one that is not found would be a wrong loss without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from torch import Tensor
from transformers import PreTrainedModel

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.attention import Borders, attend, block_mask
from tonsai_pipeline.model.loss import NextTokenLoss

#: Two documents of at most so many tokens.
_LENGTH = 12
#: Largest difference of a logit, in standard deviations of all logits, by which two ways of adding the same fp32
#: numbers differ: ours; 2e-6 measured over 20 families, 0.05 to 4 where a family was wrong.
_ROUNDING = 1e-3
#: Largest relative difference of two losses of the same logits. Fresh logits are near 0 whatever scales them, so that a
#: wrong scale shows in the fourth digit.
_SAME_LOSS = 1e-5
#: The same as `_ROUNDING` for half precision, where an expert's rows may be added in another order.
_HALF_ROUNDING = 0.05


def check_network(model: PreTrainedModel) -> None:
    """Refuse a network whose packed forward pass is not its own, a document at a time.

    Costs three passes of 24 tokens.

    Args:
        model: In fp32, with our attention.

    Raises:
        RecipeError: Documents see each other, or the numbers are others; the message names the family.
    """
    family = model.config.model_type
    ids, places = _documents(model)
    with _measuring(model), torch.no_grad():
        try:
            packed = model(
                input_ids=ids, position_ids=places, use_cache=False, **_borders(ids)
            ).logits
        except Exception as error:
            # Families that do not expect our arguments fail in many ways of their own.
            raise RecipeError(
                f"model: {family}: cannot be trained on packed rows: {type(error).__name__}: {error}"
            ) from error
        with _own_attention(model):
            alone = [
                model(input_ids=x, position_ids=p, use_cache=False).logits
                for x, p in zip(ids.chunk(2, 1), places.chunk(2, 1), strict=True)
            ]
    moved = _distance(packed, torch.cat(alone, 1))
    if not moved <= _ROUNDING:
        raise RecipeError(
            f"model: {family}: packed rows give other numbers than its own forward pass (logits differ by "
            f"{moved:.2g} of their spread): its layers look across documents, or its attention is one that this "
            "program does not compute"
        )


def check_loss(loss: NextTokenLoss) -> None:
    """Refuse a network whose loss here is not the cross-entropy of its own logits.

    Raises:
        RecipeError: They differ; the message has both.
    """
    model = loss.model
    ids, places = _documents(model)
    targets = ids.roll(-1, 1)
    half = ids.shape[1] // 2
    segments = torch.arange(2, dtype=torch.int32, device=ids.device).repeat_interleave(half)
    with _measuring(model), torch.no_grad():
        ours = loss(ids, targets, places, segment_ids=segments[None])[0].item()
        logits = model(input_ids=ids, position_ids=places, use_cache=False, **_borders(ids)).logits
    own = F.cross_entropy(logits[0].float(), targets[0], reduction="sum").item()
    if not abs(ours - own) <= _SAME_LOSS * abs(own):
        raise RecipeError(
            f"model: {model.config.model_type}: the loss would be {ours:.4f} where its own forward pass gives "
            f"{own:.4f}; set train.loss_chunk_tokens: 0"
        )


def find_leak(model: PreTrainedModel, *, use_varlen: bool) -> float:
    """Change one document of a row and return how much the logits of the next one move; about 0 is right.

    Args:
        model: A model with our attention, on the device and in the precision in which it will train.
        use_varlen: Which of the two ways to try.

    Returns:
        The largest difference of a logit, in standard deviations of all logits.
    """
    ids, places = _documents(model)
    other = ids.clone()
    half = ids.shape[1] // 2
    other[:, :half] = (ids[:, :half] + 1).remainder(model.config.vocab_size)
    kwargs = {"use_cache": False, "position_ids": places, **_borders(ids, use_varlen=use_varlen)}
    with _measuring(model), torch.no_grad():
        logits = [model(input_ids=x, **kwargs).logits[:, half:] for x in (ids, other)]
    return _distance(*logits)


def may_be_rounding(leak: float, dtype: torch.dtype) -> bool:
    """Whether a leak is no more than numbers added in another order (experts get other rows)."""
    return leak <= (_ROUNDING if dtype == torch.float32 else _HALF_ROUNDING)


def check_kernel(config: object, device: torch.device, dtype: torch.dtype, seq_len: int) -> None:
    """Compare the variable-length kernel of this machine with a masked attention in fp32, forward and backward.

    One row of the real length is cut into segments of 1, 2, 4, ... tokens and a long rest.

    Args:
        config: The network's, for its heads.
        device: Where it trains.
        dtype: In which precision.
        seq_len: Tokens of a row.

    Raises:
        RecipeError: The kernel cannot do it, or its numbers or gradients are others.
    """
    width = int(getattr(config, "hidden_size"))  # noqa: B009  # no type knows it
    heads = int(getattr(config, "num_attention_heads"))  # noqa: B009
    kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    head_dim = int(getattr(config, "head_dim", None) or width // heads)
    generator = torch.Generator().manual_seed(0)
    q, k, v, out_gradient = (
        torch.randn(1, n, seq_len, head_dim, generator=generator).to(device, dtype)
        for n in (heads, kv_heads, kv_heads, heads)
    )
    ends = [end for end in (2**power - 1 for power in range(1, 32)) if end < seq_len]
    borders = torch.tensor([0, *ends, seq_len], dtype=torch.int32, device=device)
    segments = torch.repeat_interleave(torch.arange(len(ends) + 1, device=device), borders.diff())
    found = []
    for in_type, kwargs in (
        (dtype, Borders(cu_seqlens=borders, max_seqlen=seq_len).as_kwargs()),
        (torch.float32, Borders(mask=block_mask(segments[None])).as_kwargs()),
    ):
        leaves = [x.to(in_type, copy=True).requires_grad_() for x in (q, k, v)]
        out, _ = attend(torch.nn.Identity(), *leaves, **kwargs)  # pyright: ignore[reportArgumentType]
        out.backward(out_gradient.transpose(1, 2).to(in_type))
        found.append([out.detach(), *(leaf.grad for leaf in leaves)])
    for name, kernel, reference in zip(("out", "dq", "dk", "dv"), *found, strict=True):
        # Of all values together: the few large ones are rounded by more than the spread of the many small ones.
        distance = ((kernel.float() - reference).norm() / reference.norm()).item()
        if not distance <= _HALF_ROUNDING:
            place = torch.cuda.get_device_name(device) if device.type == "cuda" else device
            raise RecipeError(
                f"the attention kernel on {place} does not give the {name} of a masked attention (off by "
                f"{distance:.2g} of its size): torch {torch.__version__} and cuDNN "
                f"{torch.backends.cudnn.version()} are too old, or broken"
            )


def _documents(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """(1, 24) ids of two documents of equal length, and their places in the row."""
    generator = torch.Generator().manual_seed(0)
    context = getattr(model.config, "max_position_embeddings", None) or 2 * _LENGTH
    num_tokens = 2 * min(_LENGTH, context // 2)
    ids = torch.randint(model.config.vocab_size, (1, num_tokens), generator=generator)
    return ids.to(model.device), torch.arange(num_tokens, device=model.device)[None]


def _borders(ids: Tensor, *, use_varlen: bool = False) -> dict[str, Tensor | int]:
    num_tokens = ids.shape[1]
    if use_varlen:
        ends = [0, num_tokens // 2, num_tokens]
        cu = torch.tensor(ends, dtype=torch.int32, device=ids.device)
        return Borders(cu_seqlens=cu, max_seqlen=num_tokens).as_kwargs()
    second = torch.arange(num_tokens, device=ids.device) >= num_tokens // 2
    return Borders(mask=block_mask(second[None])).as_kwargs()


def _distance(one: Tensor, other: Tensor) -> float:
    """Largest difference in standard deviations of the second; nan where either is not finite."""
    one, other = one.float(), other.float()
    spread = other.std().clamp(min=torch.finfo(torch.float32).tiny)
    return ((one - other).abs().max() / spread).item()


@contextmanager
def _measuring(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def _own_attention(model: PreTrainedModel) -> Iterator[None]:
    # transformers offers a setter but no public way to read what was set.
    ours = str(model.config._attn_implementation)  # noqa: SLF001
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(ours)
