"""A folder or a Hub id -> a model with its own tokenizer, ready to be measured.

    "gpt2", "runs/x/model" ──open_subject──▶ Subject(model, tokenizer, context, ...)

Every measure takes a `Subject`, so that ours, a base model and last month's are measured by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.generate import allowed_tokens, generate_many
from tonsai_pipeline.model.held_out import computes_bf16
from tonsai_pipeline.model.likelihood import Request, context_of, encode, nats, prefix_id
from tonsai_pipeline.model.samples import marker_ids
from tonsai_pipeline.recipe.evaluate import GenerationConfig


class Written(NamedTuple):
    """A generated text, and whether the model ended it itself."""

    text: str
    ended: bool


@dataclass(frozen=True)
class Subject:
    """A model under measurement.

    Args:
        name: What tables call it.
        model: On its device.
        tokenizer: Its own.
        is_chat: Whether prompts are given as a user's turn, by the tokenizer's template.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
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
            return [prefix_id(self.tokenizer), *encode(self.tokenizer, prompt)]
        found = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=False,
        )
        return [int(token) for token in found]  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]

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
        written = generate_many(
            self.model,
            [self.prompt_ids(prompt) for prompt in prompts],
            max_new_tokens=room,
            allowed=self.allowed,
            eos_ids=self._eos_ids,
            temperature=sampling.temperature if sampling else 0.0,
            top_p=sampling.top_p if sampling else 1.0,
            seed=sampling.seed if sampling else 0,
        )
        return [
            Written(str(self.tokenizer.decode(ids, skip_special_tokens=True)), len(ids) < most)
            for ids, most in zip(written, room, strict=True)
        ]

    @cached_property
    def _eos_ids(self) -> list[int]:
        config: Any = self.model.generation_config
        found = None if config is None else config.eos_token_id
        ids = [*(found if isinstance(found, list) else [found]), self.tokenizer.eos_token_id]
        if self.is_chat:
            # The token that the template ends a turn with, whatever the configuration calls the end.
            ids.append(self.tokenizer.convert_tokens_to_ids("<|im_end|>"))
        return sorted({token for token in ids if isinstance(token, int)})

    @cached_property
    def allowed(self) -> torch.Tensor:
        """(vocab_size,) bool: the tokens that are text, and the end."""
        forbidden = [i for i in marker_ids(self.tokenizer) if i not in self._eos_ids]
        vocab_size = num_rows(self.model.get_output_embeddings())
        forbidden = [i for i in forbidden if i < vocab_size]
        return allowed_tokens(vocab_size, len(self.tokenizer), forbidden)


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
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(place)
    identity, _, revision = (place, "", "") if folder.is_dir() else place.partition("@")
    if not folder.is_dir() and (place.startswith((".", "/", "~")) or place.count("/") > 1):
        raise DataError(f"{place}: no such folder, and not the form of a Hub id (owner/name)")
    dtype = torch.bfloat16 if computes_bf16(device) else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(identity, revision=revision or None)
        model = AutoModelForCausalLM.from_pretrained(
            identity, revision=revision or None, dtype=dtype, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError) as error:
        where = "the folder" if folder.is_dir() else "the Hub, or its cache here,"
        raise DataError(
            f"{place}: {where} gives no causal model with a tokenizer: {_first_line(error)}"
        ) from error
    if is_chat and not getattr(tokenizer, "chat_template", None):
        raise DataError(
            f"{place}: its tokenizer has no chat template, so a turn cannot be written; measure it as a base model"
        )
    _check(place, model, tokenizer)
    model = cast("PreTrainedModel", cast("torch.nn.Module", model).to(device).eval())
    return Subject(name or identity.rstrip("/").split("/")[-1], model, tokenizer, is_chat)


def _check(place: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = num_rows(model.get_input_embeddings())
    if len(tokenizer) > rows:
        raise DataError(
            f"{place}: the tokenizer knows {len(tokenizer):,} tokens, the model {rows:,}; they do not belong together"
        )
    try:
        prefix_id(tokenizer)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def num_rows(embeddings: Any) -> int:
    """Return the rows of a layer of embeddings: the tokens that a model knows, padding included."""
    return int(embeddings.weight.shape[0])
