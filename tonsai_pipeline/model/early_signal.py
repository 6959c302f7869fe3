"""A network in training and the prompt suite -> numbers that move long before an answer is right.

    minimal pairs, right answers, choices ──likelihoods──▶ preferred, gold bits per byte, right per byte

Only likelihoods: no text is written, so it takes seconds, and a few questions say as much each time.

Source: Gu et al. 2024, arXiv:2406.08446; Heineman et al. 2025, arXiv:2508.13144 (bits per byte of the right answer
    predicts better than accuracy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tonsai_pipeline.metrics.choice import choose
from tonsai_pipeline.metrics.suite import Item
from tonsai_pipeline.model.likelihood import Request, answer_request, context_of, nats


def early_signal(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, items: Sequence[Item]
) -> dict[str, float]:
    """Measure a network by likelihoods alone.

    Args:
        model: Any causal model, whole in this process.
        tokenizer: Its own.
        items: Of the prompt suite; kinds without likelihoods are left out.

    Returns:
        `pairs_preferred`, `choices_right` (per byte) and `answer_bits_per_byte`, those that the items allow.
    """
    context = context_of(model)
    pairs = [item for item in items if item.kind == "minimal_pair"]
    choices = [item for item in items if item.kind == "choice"]
    answered = [item for item in items if item.references and item.kind != "instruct"]
    requests: list[Request] = []

    def ask(prompt: str, answer: str) -> None:
        requests.append(answer_request(prompt, answer, tokenizer, context))

    for item in pairs:
        ask("", item.good)
        ask("", item.bad)
    for item in choices:
        for choice in item.choices:
            ask(item.prompt, choice)
    for item in answered:
        ask(item.prompt, " " + item.references[0])
    found = iter(nats(model, requests))
    preferred = [next(found) < next(found) for _ in pairs]
    right = [
        choose(
            [-next(found) for _ in item.choices],
            [len(choice.encode()) for choice in item.choices],
            item.gold,
        ).per_byte
        == item.gold
        for item in choices
    ]
    bits = [next(found) / (math.log(2) * len(item.references[0].encode())) for item in answered]
    numbers = {
        "pairs_preferred": preferred,
        "choices_right": right,
        "answer_bits_per_byte": bits,
    }
    return {name: sum(values) / len(values) for name, values in numbers.items() if values}
