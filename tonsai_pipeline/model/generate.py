"""Writing text: prompt ids -> sampled ids, one prompt at a time, the same for the same seed.

    ids (n,) ──network with cache──▶ logits ──forbid, temperature, top p──▶ next id ──▶ ... until EOS

One sequence a batch needs no document borders, so the usual cached attention writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

#: Cached attention for writing: one sequence a batch, so no document borders are needed.
_WRITING_ATTENTION = "sdpa"


@torch.no_grad()
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
    """Continue a prompt.

    Args:
        model: Any causal model, on any device.
        prompt_ids: At least one token, usually beginning with BOS.
        max_new_tokens: Tokens written at most; the model's context may end it earlier.
        allowed: (vocab_size,) bool; other tokens are never written. Rows of the output layer that only pad
            the vocabulary have no text and must be false.
        eos_id: The token that ends the text; it is not returned.
        temperature: 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that together hold this probability.
        seed: Seed of the draws.

    Returns:
        The new ids, without the prompt.

    Raises:
        ValueError: An empty prompt, or one that fills the context.
    """
    context = (
        getattr(model.config, "max_position_embeddings", None) or len(prompt_ids) + max_new_tokens
    )
    if not 0 < len(prompt_ids) < context:
        raise ValueError(f"a prompt of {len(prompt_ids)} tokens; the model takes 1..{context - 1}")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    written: list[int] = []
    with _writing(model):
        ids = torch.tensor([list(prompt_ids)], device=model.device)
        cache = None
        for _ in range(min(max_new_tokens, context - len(prompt_ids))):
            out = model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            token = _draw(out.logits[0, -1].float().cpu(), allowed, temperature, top_p, generator)
            if token == eos_id:
                break
            written.append(token)
            ids = torch.tensor([[token]], device=model.device)
    return written


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
def _writing(model: PreTrainedModel) -> Iterator[None]:
    """Put a model into the state for writing, and back."""
    was_training = model.training
    # transformers offers a setter but no public way to read what was set.
    attention = str(model.config._attn_implementation)  # noqa: SLF001
    model.eval()
    model.set_attn_implementation(_WRITING_ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(attention)
        model.train(was_training)
