"""Conversations -> those that are trained on and held out, in tokens, and why the others are not.

conversations ──select──▶ no copies, nothing measured ──encode──▶ none too long ──▶ Chosen
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tonsai_pipeline.dedup.contamination import EvaluationIndex
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.dedup import DecontaminateConfig
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.stages.prepare_sft.chat_tokenizer import ChatTokenizer
from tonsai_pipeline.stages.prepare_sft.encode import Encoded, encode_all
from tonsai_pipeline.stages.prepare_sft.select import Conversation, select


class Chosen(NamedTuple):
    """What became of all conversations."""

    train: list[Encoded]
    held_out: list[Encoded]
    dropped: dict[str, Counter[str]]
    num_truncated: int
    num_dropped_turns: int


def choose(
    found: Iterator[Conversation],
    index: EvaluationIndex | None,
    chat: ChatTokenizer,
    config: SftConfig,
    decontaminate: DecontaminateConfig,
) -> Chosen:
    """Choose and encode conversations; every one is trained on, held out, or dropped by its reason.

    Args:
        found: That may be learned from, in the order of sources.
        index: N-grams of the evaluation sets; None without.
        chat: The tokenizer.
        config: The recipe's `sft` section.
        decontaminate: The recipe's `dedup.decontaminate` section.

    Raises:
        DataError: Nothing is left.
        RecipeError: The chat template cannot tell replies apart.
    """
    conversations = list(found)
    selected = select(conversations, index, config=config, decontaminate=decontaminate)
    dropped: dict[str, Counter[str]] = {source.name: Counter() for source in config.sources}
    left = []
    for place, (conversation, reason) in enumerate(
        zip(conversations, selected.reasons, strict=True)
    ):
        if reason is None:
            left.append(place)
        else:
            dropped[conversation.source][reason] += 1
    train, held_out = [], []
    encoded = list(encode_all([conversations[place] for place in left], chat, config))
    for place, one in zip(left, encoded, strict=True):
        if one.drop_reason is not None:
            dropped[one.conversation.source][one.drop_reason] += 1
        else:
            (held_out if selected.held_out[place] else train).append(one)
    if not held_out and len(train) > 1:
        # A few conversations: one of them is measured all the same.
        held_out.append(train.pop())
    if not train or not held_out:
        said = ", ".join(f"{name}: {dict(found)}" for name, found in dropped.items())
        raise DataError(
            f"sft: {len(train)} conversations are left to learn from and {len(held_out)} to measure; dropped: {said}"
        )
    kept = [*train, *held_out]
    return Chosen(
        train,
        held_out,
        dropped,
        num_truncated=sum(one.num_dropped_turns > 0 for one in kept),
        num_dropped_turns=sum(one.num_dropped_turns for one in kept),
    )
