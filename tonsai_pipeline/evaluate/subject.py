"""A folder or a Hub id -> a model ready to be measured.

    "gpt2", "runs/x/model" ──open_subject──▶ Subject: prompts ──write──▶ texts; requests ──nats──▶ numbers

Every measure takes a `Subject`, so that ours, a base model and last month's are measured by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.generate import fit_prompts, generate_many
from tonsai_pipeline.model.likelihood import Request, context_of, encode, nats
from tonsai_pipeline.model.opened import OpenModel, open_model
from tonsai_pipeline.recipe.evaluate import GenerationConfig


class Written(NamedTuple):
    """A generated text, and whether the model ended it itself."""

    text: str
    ended: bool


@dataclass(frozen=True)
class Subject(OpenModel):
    """A model under measurement.

    Args:
        is_chat: Whether prompts are given as a user's turn, by the tokenizer's template.
    """

    is_chat: bool = False

    @property
    def context(self) -> int:
        """Tokens that the model is given at a time."""
        return context_of(self.model)

    def nats(self, requests: list[Request]) -> list[float]:
        """Return -log p of each request."""
        return nats(self.model, requests)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids of a prompt, with exactly one BOS."""
        if not self.is_chat:
            return self.text_ids(prompt)
        return self.turn_ids([{"role": "user", "content": prompt}])

    def write(
        self,
        prompts: Sequence[str],
        max_bytes: Sequence[int],
        sampling: GenerationConfig | None = None,
    ) -> list[Written]:
        """Continue prompts.

        Args:
            prompts: Normalized.
            max_bytes: About how many UTF-8 bytes are written after each: the same room for every tokenizer.
            sampling: How tokens are drawn; None takes the likeliest each time.
        """
        num_tokens = sum(len(encode(self.tokenizer, prompt)) for prompt in prompts)
        bytes_per_token = sum(len(prompt.encode()) for prompt in prompts) / max(1, num_tokens)
        room = [max(1, round(size / bytes_per_token)) for size in max_bytes]
        fitting, room = fit_prompts(
            self.model, [self.prompt_ids(prompt) for prompt in prompts], room
        )
        written = generate_many(
            self.model,
            fitting,
            max_new_tokens=room,
            allowed=self.allowed,
            eos_ids=self.eos_ids,
            temperature=sampling.temperature if sampling else 0.0,
            top_p=sampling.top_p if sampling else 1.0,
            seed=sampling.seed if sampling else 0,
        )
        return [
            Written(str(self.tokenizer.decode(ids, skip_special_tokens=True)), len(ids) < most)
            for ids, most in zip(written, room, strict=True)
        ]

    @property
    def eos_ids(self) -> list[int]:
        """Tokens that end a text."""
        return self.turn_ends if self.is_chat else self.text_ends

    @cached_property
    def allowed(self) -> torch.Tensor:
        """(vocab_size,) bool: the tokens that are text, and the end."""
        return self.writable(self.eos_ids)


def open_subject(
    place: str,
    *,
    name: str | None = None,
    is_chat: bool = False,
    device: torch.device | None = None,
) -> Subject:
    """Open a model.

    Args:
        place: A folder, or `id` or `id@revision` on the Hub.
        name: What tables call it; the last part of the place by default.
        is_chat: See `Subject`.
        device: Where it is measured; a GPU if there is one.

    Raises:
        DataError: It cannot be opened, the Hub does not answer, it has no tokenizer, or no chat template.
    """
    opened = open_model(place, name=name, device=device)
    if is_chat and not getattr(opened.tokenizer, "chat_template", None):
        raise DataError(
            f"{place}: its tokenizer has no chat template, so a turn cannot be written; measure it as a base model"
        )
    return Subject(opened.name, opened.model, opened.tokenizer, is_chat)
