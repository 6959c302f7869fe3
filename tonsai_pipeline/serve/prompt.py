"""What a person wrote -> ids for the model: normalized, without markers, one BOS, within the context.

[system, user, assistant, user] ──normalize, drop the oldest turns──▶ ids
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jinja2 import TemplateError

from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.text import NormalizeOptions, normalize
from tonsai_pipeline.tokenizer.assemble import NORMALIZER_NAME

Message = Mapping[str, str]
"""`role` (system, user, assistant) and `content`."""

#: Share of the context that is kept for the reply, at most.
_REPLY_FRAC = 0.25


@dataclass(frozen=True)
class Fitted:
    """A conversation as the model is given it.

    Args:
        ids: With one BOS, up to where the reply begins.
        messages: Those that are in it.
        num_dropped: Oldest messages that are not, because the context is full.
    """

    ids: list[int]
    messages: list[Message]
    num_dropped: int


class Typed:
    """Prepares what people type for one model.

    Args:
        opened: The model.
        place: Its folder, which says how its corpus was normalized; anything else has the default options.
    """

    def __init__(self, opened: OpenModel, place: Path | str) -> None:
        self._opened = opened
        self._options = read_options(Path(place))
        tokens = opened.tokenizer.added_tokens_decoder.values()
        self._markers = [token.content for token in tokens if token.special]

    def clean(self, text: str) -> str:
        """Normalize a text as the corpus was, and take out what the tokenizer would read as a marker."""
        text = normalize(text, self._options)
        while found := [marker for marker in self._markers if marker in text]:
            for marker in found:
                text = text.replace(marker, "")
        return text

    def text(self, text: str, *, max_new_tokens: int) -> list[int]:
        """Return the ids of a text to go on from.

        Raises:
            ValueError: It leaves no room for what is to follow.
        """
        ids = self._opened.text_ids(self.clean(text))
        if not self._fits(ids, max_new_tokens):
            raise ValueError(self._too_long(ids))
        return ids

    def turns(
        self, messages: Sequence[Message], *, max_new_tokens: int, drop_oldest: bool
    ) -> Fitted:
        """Return the ids of a conversation that ends with a user's turn.

        Args:
            messages: In order; only what the model wrote itself is not normalized.
            max_new_tokens: What the reply may need.
            drop_oldest: Whether the oldest turns, with their replies, make room; system messages stay.

        Raises:
            ValueError: There is no user's turn at the end, it is too long, or the template refuses the order.
        """
        if not messages or messages[-1]["role"] != "user":
            raise ValueError("a conversation ends with a message of the user")
        kept: list[Message] = [
            one
            if one["role"] == "assistant"
            else {"role": one["role"], "content": self.clean(one["content"])}
            for one in messages
        ]
        while True:
            try:
                ids = self._opened.turn_ids(kept)
            except TemplateError as error:
                raise ValueError(f"the model's chat template: {error}") from error
            if self._fits(ids, max_new_tokens):
                return Fitted(ids, kept, len(messages) - len(kept))
            shorter = without_oldest_turn(kept) if drop_oldest else kept
            if len(shorter) == len(kept):
                raise ValueError(self._too_long(ids))
            kept = shorter

    def _fits(self, ids: Sequence[int], max_new_tokens: int) -> bool:
        context = self._opened.context
        return len(ids) + min(max_new_tokens, max(1, int(context * _REPLY_FRAC))) <= context

    def _too_long(self, ids: Sequence[int]) -> str:
        return f"{len(ids):,} tokens are too many: the model's context is {self._opened.context:,}, a part of it the reply's"


def without_oldest_turn(messages: Sequence[Message]) -> list[Message]:
    """Leave out the first user's message and what was replied; nothing, if it is the last one.

    Example:
        >>> say = lambda role: {"role": role, "content": "..."}
        >>> kept = without_oldest_turn([say(r) for r in ("system", "user", "assistant", "user")])
        >>> [one["role"] for one in kept]
        ['system', 'user']
    """
    users = [at for at, one in enumerate(messages) if one["role"] == "user"]
    if len(users) < 2:
        return list(messages)
    head = [one for one in messages[: users[1]] if one["role"] == "system"]
    return [*head, *messages[users[1] :]]


def read_options(folder: Path) -> NormalizeOptions:
    """Return how the corpus of a model folder was normalized; the default where it does not say."""
    path = folder / NORMALIZER_NAME
    if not path.is_file():
        return NormalizeOptions()
    options = cast("dict[str, Any]", read_json(path))
    # Rules that have changed since still are the nearest to those it learned from.
    options.pop("normalizer_version", None)
    return NormalizeOptions.from_dict(options)
