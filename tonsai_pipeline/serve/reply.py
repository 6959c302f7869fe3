"""Ids of a prompt -> a reply, given out in whole letters as it is written.

    ids ──stream──▶ tokens ──DecodeStream──▶ characters ──stop strings, whole clusters──▶ pieces

A token may be a part of a character, and a Khmer letter goes on growing: what is shown is never taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase

from tonsai_pipeline.model.generate import stream
from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.text.clusters import num_settled


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn.

    Args:
        max_new_tokens: Tokens at most; the context may end it earlier.
        temperature: 0 takes the likeliest token each time.
        top_p: Draw from the likeliest tokens that together hold this probability.
        seed: Same seed, same reply.
        stop: Strings that end the reply; they are not part of it.
    """

    max_new_tokens: int = 512
    temperature: float = 0.8
    top_p: float = 0.95
    seed: int = 0
    stop: tuple[str, ...] = ()


class Reply:
    """A reply: iterate over its pieces, then ask how it ended. Whoever stops iterating stops the network.

    Args:
        opened: The model.
        prompt_ids: See `prompt.py`.
        sampling: How it is drawn.

    Raises:
        ValueError: The prompt fills the context; raised by the iteration.
    """

    def __init__(self, opened: OpenModel, prompt_ids: Sequence[int], sampling: Sampling) -> None:
        self._opened = opened
        self._sampling = sampling
        self.prompt_ids = list(prompt_ids)
        self.text = ""
        """What was given out so far."""
        self.num_tokens = 0
        """Tokens written so far."""
        self.finish_reason: Literal["stop", "length"] = "stop"
        """`stop`: the model or a stop string ended it; `length`: there was no room left."""

    def __iter__(self) -> Iterator[str]:
        """Yield pieces that are not empty."""
        opened, sampling = self._opened, self._sampling
        ends = opened.turn_ends if opened.takes_turns else opened.text_ends
        room = min(sampling.max_new_tokens, opened.context - len(self.prompt_ids))
        tokens = stream(
            opened.model,
            self.prompt_ids,
            max_new_tokens=sampling.max_new_tokens,
            allowed=opened.writable(ends),
            eos_ids=ends,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
        )
        pieces = Pieces(opened.tokenizer, sampling.stop)
        for token in tokens:
            self.num_tokens += 1
            yield from self._given(pieces.take(token))
            if pieces.stopped:
                tokens.close()  # pyright: ignore[reportAttributeAccessIssue]  # a generator
                return
        if self.num_tokens >= room:
            self.finish_reason = "length"
        yield from self._given(pieces.rest())

    def _given(self, piece: str) -> Iterator[str]:
        if piece:
            self.text += piece
            yield piece


class Pieces:
    """Tokens -> text that does not change any more.

    Args:
        tokenizer: The model's.
        stop: Strings that end the text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        # transformers' type says nothing of the tokenizer inside.
        self._inner: Any = getattr(tokenizer, "backend_tokenizer", None)
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stop = [one for one in stop if one]
        self._ids: list[int] = []
        self._num_decoded = 0
        self._held = ""
        self.stopped = False
        """Whether a stop string was met."""

    def take(self, token: int) -> str:
        """Take the next token and return what can be shown."""
        self._ids.append(token)
        decoded = self._stream.step(self._inner, token) or ""
        self._num_decoded += len(decoded)
        return self._take(decoded)

    def rest(self) -> str:
        """Return what was held back, at the end of the text; bytes that are no character become U+FFFD."""
        whole = str(self._tokenizer.decode(self._ids, skip_special_tokens=True))
        shown = self._take(whole[self._num_decoded :])
        rest, self._held = self._held, ""
        return shown if self.stopped else shown + rest

    def _take(self, decoded: str) -> str:
        self._held += decoded
        found = [at for at in map(self._held.find, self._stop) if at >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        num_shown = num_settled(self._held[: len(self._held) - self._num_of_stop()])
        shown, self._held = self._held[:num_shown], self._held[num_shown:]
        return shown

    def _num_of_stop(self) -> int:
        """Return how many characters at the end may be the beginning of a stop string."""
        lengths = (
            length
            for one in self._stop
            for length in range(min(len(one) - 1, len(self._held)), 0, -1)
            if self._held.endswith(one[:length])
        )
        return max(lengths, default=0)
