"""Conversations -> the same normalized turn by turn, with what was measured of the replies, and why one is dropped.

messages ──normalize every turn──▶ check turns ──▶ measure replies ──▶ drop_reason or none
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from tonsai_pipeline.instructions.formats import Message
from tonsai_pipeline.instructions.replies import Limits, Measured, judge, prose_of
from tonsai_pipeline.instructions.turns import check_turns, tidy
from tonsai_pipeline.metrics.health import measure_health
from tonsai_pipeline.recipe.sft import InstructionSource, ReplyConfig
from tonsai_pipeline.text import (
    NormalizeOptions,
    languages_batch,
    normalize_batch_report,
    script_shares_batch,
)
from tonsai_pipeline.tokenizer.assemble import special_tokens

#: Tokens that would be read as what they look like; those of a base model are looked for when it is known.
_MARKERS = tuple(special_tokens(0))


class Judged(NamedTuple):
    """A conversation as it goes on, and why it does not; the worst of its replies is measured."""

    messages: tuple[Message, ...]
    lang: str
    drop_reason: str | None
    khmer_frac: float = 0.0
    repeat_frac: float = 0.0
    invalid_cluster_frac: float = 0.0

    def as_row(self, source: str, row: int) -> dict[str, Any]:
        """Return a row of CONVERSATIONS."""
        own = self._asdict() | {"messages": [one._asdict() for one in self.messages]}
        return {"source": source, "row": row, **own}


def judge_all(
    conversations: Sequence[Sequence[Message]],
    source: InstructionSource,
    config: ReplyConfig,
    options: NormalizeOptions,
) -> list[Judged]:
    """Judge conversations of one source.

    Args:
        conversations: As they were read.
        source: Where they are from.
        config: The recipe's `sft.replies`.
        options: The corpus normalizer's.
    """
    tidied = [tidy(one) for one in _normalized(conversations, options)]
    wrong = [check_turns(one, _MARKERS) for one in tidied]
    measured = _measure_replies(
        [m for m, reason in zip(tidied, wrong, strict=True) if not reason], options
    )
    limits = Limits(**config.model_dump())
    return [
        Judged(messages, "other", reason)
        if reason
        else _judge(messages, next(measured), limits, source)
        for messages, reason in zip(tidied, wrong, strict=True)
    ]


def _judge(
    messages: tuple[Message, ...],
    replies: Sequence[tuple[Measured, str]],
    limits: Limits,
    source: InstructionSource,
) -> Judged:
    reason = None
    spoken = [message for message in messages if message.role != "system"]
    for place, (measured, _) in enumerate(replies):
        asked, reply = spoken[2 * place].content, spoken[2 * place + 1].content
        reason = reason or judge(asked, reply, measured, limits, source.lang)
    return Judged(
        messages,
        replies[-1][1],
        reason,
        khmer_frac=replies[-1][0].khmer_frac,
        repeat_frac=max(one.repeat_frac for one, _ in replies),
        invalid_cluster_frac=max(one.invalid_cluster_frac for one, _ in replies),
    )


def _measure_replies(
    conversations: Sequence[Sequence[Message]], options: NormalizeOptions
) -> Iterator[list[tuple[Measured, str]]]:
    """Yield, for each conversation, what was measured of each reply, and its language."""
    spoken = [[m for m in one if m.role != "system"] for one in conversations]
    asked = [m.content for one in spoken for m in one[::2]]
    replies = [prose_of(m.content) for one in spoken for m in one[1::2]]
    asked_shares = script_shares_batch(pa.array(asked, pa.large_string())).to_pylist()
    array = pa.array(replies, pa.large_string())
    shares, languages = script_shares_batch(array).to_pylist(), languages_batch(array).to_pylist()
    healths = measure_health(replies, ["khm"] * len(replies), [True] * len(replies), options)
    at = 0
    for one in spoken:
        found = []
        for _ in one[1::2]:
            health, share, question = healths[at], shares[at], asked_shares[at]
            measured = Measured(
                khmer_frac=share["khmer_frac"],
                num_letters=share["num_letters"],
                asked_khmer_frac=question["khmer_frac"],
                asked_letters=question["num_letters"],
                repeat_frac=health.longest_repeat_frac if health.is_loop else 0.0,
                invalid_cluster_frac=health.num_invalid_clusters / max(1, health.num_clusters),
                num_replacement=health.num_replacement,
            )
            found.append((measured, languages[at]))
            at += 1
        yield found


def _normalized(
    conversations: Sequence[Sequence[Message]], options: NormalizeOptions
) -> Iterator[list[Message]]:
    texts = [message.content for one in conversations for message in one]
    canonical = iter(
        normalize_batch_report(pa.array(texts, pa.large_string()), options)[0].to_pylist()
    )
    for one in conversations:
        yield [Message(message.role, next(canonical)) for message in one]
