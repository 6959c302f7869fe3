"""Texts, and answers after prompts -> how likely a model finds them; any Hugging Face causal model and tokenizer.

    text ──encode, windows──▶ (context ids, scored ids) ──batches of equal length──▶ -log p in nats

Every text begins after one BOS (or EOS, where a tokenizer has no BOS), as in training. Windows of long texts, and how
a prompt and its answer are cut into tokens, are those of lm-eval, so that its numbers and ours are the same.

Source: lm-evaluation-harness 0.4.13, `get_rolling_token_windows` and `_encode_pair`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tonsai_pipeline.model.generate import plain_attention

#: Tokens of a batch, padding included, and logits held at a time: 2^27 floats are half a gigabyte.
_MAX_BATCH_TOKENS = 8192
_MAX_LOGITS = 1 << 27


class Request(NamedTuple):
    """Ids to score: the last `num_scored` of `ids`, each after all before it."""

    ids: tuple[int, ...]
    num_scored: int


def prefix_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token that stands before every text: BOS, or EOS where there is none.

    Raises:
        ValueError: The tokenizer has neither.
    """
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if isinstance(token_id, int):
            return token_id
    raise ValueError("the tokenizer has neither BOS nor EOS, so no text can begin")


def text_requests(text: str, tokenizer: PreTrainedTokenizerBase, context: int) -> list[Request]:
    """Cut a text into windows that together score each of its tokens once.

    Args:
        text: Any text.
        tokenizer: The model's.
        context: Tokens that the model takes.
    """
    ids = (prefix_id(tokenizer), *encode(tokenizer, text))
    first = Request(ids[: context + 1], min(len(ids) - 1, context))
    rest = [
        Request(ids[max(0, end - context - 1) : end], end - start)
        for start in range(context + 1, len(ids), context)
        for end in [min(start + context, len(ids))]
    ]
    return [first, *rest] if len(ids) > 1 else []


def answer_request(
    prompt: str, answer: str, tokenizer: PreTrainedTokenizerBase, context: int
) -> Request:
    """Return the request that scores an answer after a prompt; an empty prompt leaves BOS alone.

    Spaces at the end of the prompt are scored with the answer. What does not fit the context loses its beginning:
    the prompt first, and, of an answer longer than the context, the answer.
    """
    stripped = prompt.rstrip()
    answer = prompt[len(stripped) :] + answer
    start = prefix_id(tokenizer)
    whole = (start, *encode(tokenizer, stripped + answer))
    num_scored = len(whole) - 1 - len(encode(tokenizer, stripped))
    return Request(whole[-(context + 1) :], min(num_scored, context))


@torch.no_grad()
def nats(
    model: PreTrainedModel,
    requests: Sequence[Request],
    *,
    max_batch_tokens: int = _MAX_BATCH_TOKENS,
) -> list[float]:
    """Return -log p of each request, in nats, in the order of the requests.

    Args:
        model: Any causal model, on any device.
        requests: What to score. None may be longer than the model's context and one more.
        max_batch_tokens: Changes time and memory, not the numbers beyond rounding.
    """
    found = [0.0] * len(requests)
    with plain_attention(model):
        for rows in _batches(requests, max_batch_tokens):
            for row, value in zip(rows, _score(model, [requests[r] for r in rows]), strict=True):
                found[row] = value
    return found


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a text without markers."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def context_of(model: PreTrainedModel, limit: int = 2048) -> int:
    """Return the tokens that a model is given at a time: its context, at most `limit`."""
    return min(getattr(model.config, "max_position_embeddings", None) or limit, limit)


def _batches(requests: Sequence[Request], max_tokens: int) -> Iterator[list[int]]:
    """Group requests of like length."""
    order = sorted(range(len(requests)), key=lambda row: -len(requests[row].ids))
    batch: list[int] = []
    for row in order:
        if requests[row].num_scored == 0:
            continue
        if batch and (len(batch) + 1) * len(requests[batch[0]].ids) > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _score(model: PreTrainedModel, requests: Sequence[Request]) -> list[float]:
    longest = max(len(request.ids) for request in requests) - 1
    # Padding stands to the right of everything scored, where a causal model cannot see it.
    ids = torch.zeros((len(requests), longest), dtype=torch.long)
    for place, request in enumerate(requests):
        ids[place, : len(request.ids) - 1] = torch.tensor(request.ids[:-1])
    most = max(request.num_scored for request in requests)
    rows = max(1, _MAX_LOGITS // (int(model.config.vocab_size) * max(most, longest)))
    found: list[float] = []
    for first in range(0, len(requests), rows):
        logits = model(input_ids=ids[first : first + rows].to(model.device), use_cache=False).logits
        for own, request in zip(logits, requests[first : first + rows], strict=False):
            end = len(request.ids) - 1
            scored = own[end - request.num_scored : end].float()
            targets = torch.tensor(request.ids[-request.num_scored :], device=scored.device)
            found.append(F.cross_entropy(scored, targets, reduction="sum").double().item())
    return found
