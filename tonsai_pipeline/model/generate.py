"""Writing text: prompt ids -> sampled ids, one prompt at a time, the same for the same seed.

    ids (n,) ──network with cache──▶ logits ──forbid, temperature, top p──▶ next id ──▶ ... until EOS

One sequence a batch needs no document borders, so the usual cached attention writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

#: Attention for sequences of one document each, with a cache.
_PLAIN_ATTENTION = "sdpa"


def generate(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    *,
    max_new_tokens: int,
    allowed: Tensor,
    eos_id: int,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
) -> list[int]:
    """Continue a prompt; see `stream`.

    Returns:
        The new ids, without the prompt.

    Raises:
        ValueError: An empty prompt, or one that fills the context.
    """
    return list(
        stream(
            model,
            prompt_ids,
            max_new_tokens=max_new_tokens,
            allowed=allowed,
            eos_ids=(eos_id,),
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
    )


@torch.no_grad()
def stream(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    *,
    max_new_tokens: int,
    allowed: Tensor,
    eos_ids: Sequence[int],
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
) -> Iterator[int]:
    """Continue a prompt, a token at a time; whoever stops asking stops the network.

    Args:
        model: Any causal model, on any device.
        prompt_ids: At least one token, usually beginning with BOS.
        max_new_tokens: Tokens written at most; the model's context may end it earlier.
        allowed: (vocab_size,) bool; other tokens are never written. Rows of the output layer that only pad
            the vocabulary have no text and must be false.
        eos_ids: The tokens that end the text; they are not yielded.
        temperature: 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that together hold this probability.
        seed: Seed of the draws.

    Yields:
        The new ids.

    Raises:
        ValueError: An empty prompt, or one that fills the context.
    """
    context = (
        getattr(model.config, "max_position_embeddings", None) or len(prompt_ids) + max_new_tokens
    )
    if not 0 < len(prompt_ids) < context:
        raise ValueError(f"a prompt of {len(prompt_ids)} tokens; the model takes 1..{context - 1}")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    with plain_attention(model):
        ids = torch.tensor([list(prompt_ids)], device=model.device)
        cache = None
        for _ in range(min(max_new_tokens, context - len(prompt_ids))):
            out = model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            token = _draw(out.logits[0, -1].float().cpu(), allowed, temperature, top_p, generator)
            if token in eos_ids:
                break
            yield token
            ids = torch.tensor([[token]], device=model.device)


@torch.no_grad()
def generate_many(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: Sequence[int],
    allowed: Tensor,
    eos_ids: Sequence[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_rows: int = 16,
) -> list[list[int]]:
    """Continue prompts, many at once; a prompt's text does not depend on the others beyond rounding.

    Args:
        model: Any causal model, on any device.
        prompts: Ids, at least one each; cut as by `fit_prompts`.
        max_new_tokens: Tokens written at most after each prompt; fewer where the context is full.
        allowed: (vocab_size,) bool, see `generate`.
        eos_ids: Tokens that end a text; they are not returned.
        temperature: 0 takes the likeliest token.
        top_p: See `generate`.
        seed: Prompt i draws with seed + i.
        batch_rows: Prompts at a time.

    Returns:
        The new ids of each prompt.
    """
    kept, rooms = fit_prompts(model, prompts, max_new_tokens)
    written: list[list[int]] = [[] for _ in prompts]
    # Like lengths together: padding is computed too.
    order = sorted(range(len(kept)), key=lambda row: (len(kept[row]), rooms[row]))
    with plain_attention(model):
        for first in range(0, len(order), batch_rows):
            rows = order[first : first + batch_rows]
            draws = [
                partial(
                    _draw,
                    allowed=allowed,
                    temperature=temperature,
                    top_p=top_p,
                    generator=torch.Generator(device="cpu").manual_seed(seed + row),
                )
                for row in rows
            ]
            texts = [written[row] for row in rows]
            room = [rooms[row] for row in rows]
            _write_rows(model, [kept[row] for row in rows], texts, room, draws, eos_ids)
    return written


def fit_prompts(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], max_new_tokens: Sequence[int]
) -> tuple[list[list[int]], list[int]]:
    """Cut prompts to what the context holds beside their texts; return them, and the tokens that may follow each.

    A prompt that leaves no room keeps its end, half of the context at least: a text that was asked for at any length must
    not push out what it is to go on from.
    """
    context = _context(model)
    kept = [
        list(ids)[-max(1, context - min(most, context // 2)) :]
        for ids, most in zip(prompts, max_new_tokens, strict=True)
    ]
    rooms = [min(most, context - len(ids)) for ids, most in zip(kept, max_new_tokens, strict=True)]
    return kept, rooms


def _context(model: PreTrainedModel) -> int:
    return getattr(model.config, "max_position_embeddings", None) or 1 << 30


def _write_rows(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    written: Sequence[list[int]],
    room: Sequence[int],
    draws: Sequence[Callable[[Tensor], int]],
    eos_ids: Sequence[int],
) -> None:
    """Write the rows of a batch, padded at the left, until each has ended or is full."""
    longest = max(map(len, prompts))
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    going, cache = set(range(len(prompts))), None
    for _ in range(max(room)):
        # A row that is done goes on beside the others, behind the last place that there is.
        positions = (mask.cumsum(1) - 1).clamp(0, _context(model) - 1)[:, -ids.shape[1] :]
        out = model(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=positions.to(model.device),
            past_key_values=cache,
            use_cache=True,
        )
        cache, logits = out.past_key_values, out.logits[:, -1].float().cpu()
        ids = torch.zeros((len(prompts), 1), dtype=torch.long)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        for row in sorted(going):
            token = draws[row](logits[row])
            ids[row] = token
            if token not in eos_ids:
                written[row].append(token)
            if token in eos_ids or len(written[row]) == room[row]:
                going.remove(row)
        if not going:
            break


def allowed_tokens(vocab_size: int, num_real: int, forbidden: Sequence[int]) -> Tensor:
    """Return which tokens may be written.

    Args:
        vocab_size: Rows of the output layer.
        num_real: Tokens that the tokenizer knows; rows from here on only pad.
        forbidden: Further ids that are never written (BOS, padding, chat markers).

    Returns:
        (vocab_size,) bool.

    Example:
        >>> allowed_tokens(4, 3, [0]).tolist()
        [False, True, True, False]
    """
    allowed = torch.arange(vocab_size) < num_real
    allowed[list(forbidden)] = False
    return allowed


def _draw(
    logits: Tensor, allowed: Tensor, temperature: float, top_p: float, generator: torch.Generator
) -> int:
    logits = logits.masked_fill(~allowed, float("-inf"))
    if temperature == 0.0:
        return int(logits.argmax())
    probabilities, order = (logits / temperature).softmax(-1).sort(descending=True, stable=True)
    # A token stays while those before it hold less than top_p: the likeliest always stays.
    before = probabilities.cumsum(0) - probabilities
    kept = probabilities.masked_fill(before >= top_p, 0.0)
    return int(order[torch.multinomial(kept, 1, generator=generator)])


@contextmanager
def plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """Put a model into evaluation mode with attention that needs no document borders, and back."""
    was_training = model.training
    # transformers offers a setter but no public way to read what was set.
    attention = str(model.config._attn_implementation)  # noqa: SLF001
    model.eval()
    model.set_attn_implementation(_PLAIN_ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(attention)
        model.train(was_training)
