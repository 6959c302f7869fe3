"""Conversations -> ids, and which of them are learned: the replies with their ends, and nothing else.

turns ──each tokenized by itself──▶ ids (n,), learned (n,) bool        too long ──▶ earliest exchanges dropped, or all
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.instructions.turns import check_turns, without_first_exchange
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.stages.prepare_sft.chat_tokenizer import ChatTokenizer
from tonsai_pipeline.stages.prepare_sft.select import Conversation
from tonsai_pipeline.tokenizer.chat import Turn

TOO_LONG, HOLDS_MARKER, TWO_BOS = "too_long", "holds_chat_marker", "second_begin_token"
#: Conversations that are tokenized at a time.
_BATCH = 1000


@dataclass(frozen=True)
class Encoded:
    """A conversation in tokens.

    Args:
        conversation: It, as it was encoded: without turns that were dropped.
        ids: (n,).
        learned: (n,) whether a token is predicted and learned.
        num_dropped_turns: Turns that were left out at its beginning.
        drop_reason: Why it cannot be learned from; then there are no ids.
    """

    conversation: Conversation
    ids: npt.NDArray[np.int64]
    learned: npt.NDArray[np.bool_]
    num_dropped_turns: int = 0
    drop_reason: str | None = None


def encode_all(
    conversations: Sequence[Conversation], chat: ChatTokenizer, config: SftConfig
) -> Iterator[Encoded]:
    """Yield every conversation in tokens, in order.

    Raises:
        RecipeError: The template cannot tell replies apart.
    """
    for first in range(0, len(conversations), _BATCH):
        batch = conversations[first : first + _BATCH]
        turns = [_turns(one, chat) for one in batch]
        ids = iter(chat.ids_of([turn.text for one in turns for turn in one]))
        for conversation, one in zip(batch, turns, strict=True):
            pieces = [(next(ids), turn.is_reply) for turn in one]
            yield _encoded(conversation, pieces, chat, config)


def _encoded(
    conversation: Conversation,
    pieces: list[tuple[list[int], bool]],
    chat: ChatTokenizer,
    config: SftConfig,
) -> Encoded:
    if check_turns(conversation.messages, chat.markers) is not None:
        return _dropped(conversation, HOLDS_MARKER)
    num_dropped = 0
    kept = conversation
    while sum(len(ids) for ids, _ in pieces) > config.max_length:
        kept = kept._replace(messages=without_first_exchange(kept.messages))
        is_gone = all(message.role == "system" for message in kept.messages)
        if config.too_long == "drop" or is_gone:
            return _dropped(conversation, TOO_LONG)
        num_dropped += 2
        turns = _turns(kept, chat)
        texts = chat.ids_of([turn.text for turn in turns])
        pieces = [(ids, turn.is_reply) for ids, turn in zip(texts, turns, strict=True)]
    ids = np.array([i for piece, _ in pieces for i in piece], dtype=np.int64)
    learned = np.repeat([is_reply for _, is_reply in pieces], [len(piece) for piece, _ in pieces])
    if chat.bos_id != chat.info.eos_id and int((ids == chat.bos_id).sum()) > 1:
        return _dropped(conversation, TWO_BOS)
    return Encoded(kept, ids, learned, num_dropped)


def _turns(conversation: Conversation, chat: ChatTokenizer) -> list[Turn]:
    messages = [message._asdict() for message in conversation.messages]
    try:
        return chat.template.turns(messages)
    except ValueError as error:
        raise RecipeError(
            f"sft: {conversation.source}, row {conversation.row}: {error}; set sft.chat_template: chatml"
        ) from error


def _dropped(conversation: Conversation, reason: str) -> Encoded:
    nothing = np.zeros(0, np.int64)
    return Encoded(conversation, nothing, nothing.astype(bool), drop_reason=reason)
