"""A folder or a Hub id -> a model with the tokenizer it belongs to, ready to be asked.

    "gpt2", "runs/x/model" ──open_model──▶ OpenModel: prompts as ids, ends, tokens that are text

Measuring, chat and serving open models here, so that a prompt has the same ids in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.generate import allowed_tokens
from tonsai_pipeline.model.held_out import computes_bf16
from tonsai_pipeline.model.likelihood import encode, prefix_id
from tonsai_pipeline.model.samples import marker_ids
from tonsai_pipeline.tokenizer.chat import ChatTemplate

#: Context of a model whose config names none.
_NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class OpenModel:
    """A model that is asked.

    Args:
        name: What people call it.
        model: On its device.
        tokenizer: Its own.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def context(self) -> int:
        """Tokens of a prompt and what follows it, at most."""
        return getattr(self.model.config, "max_position_embeddings", None) or _NO_LIMIT

    @cached_property
    def takes_turns(self) -> bool:
        """Whether it was tuned to converse: it has a template, and ends a text where the template ends a turn.

        A base model of ours carries the template too, with markers that it never learned.
        """
        return self._end_of_turn in self.text_ends

    def text_ids(self, text: str) -> list[int]:
        """Return the ids of a text to go on from, with exactly one BOS."""
        prefix, ids = prefix_id(self.tokenizer), encode(self.tokenizer, text)
        return [*ids] if ids[:1] == (prefix,) else [prefix, *ids]

    def turn_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the ids of a conversation and of the beginning of a reply, by the tokenizer's template."""
        found = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=False,
        )
        return [int(token) for token in found]  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]

    @cached_property
    def text_ends(self) -> list[int]:
        """Tokens that end a text."""
        config: Any = self.model.generation_config
        found = None if config is None else config.eos_token_id
        ids = [*(found if isinstance(found, list) else [found]), self.tokenizer.eos_token_id]
        return sorted({token for token in ids if isinstance(token, int)})

    @cached_property
    def turn_ends(self) -> list[int]:
        """Tokens that end a reply: also the one that ends a turn, whatever the configuration calls the end."""
        marker = self._end_of_turn
        return sorted({*self.text_ends, *([] if marker is None else [marker])})

    def writable(self, ends: Sequence[int]) -> torch.Tensor:
        """Return which tokens may be written, (vocab_size,) bool: text, and the ends."""
        vocab_size = num_rows(self.model.get_output_embeddings())
        markers = [i for i in marker_ids(self.tokenizer) if i not in ends and i < vocab_size]
        return allowed_tokens(vocab_size, len(self.tokenizer), markers)

    @cached_property
    def _end_of_turn(self) -> int | None:
        """The token that the template puts after a reply; None without a template, or where it puts no token."""
        source: Any = getattr(self.tokenizer, "chat_template", None)
        if not isinstance(source, str):
            return None
        tokens = {
            name: str(token)
            for name, token in self.tokenizer.special_tokens_map.items()
            if isinstance(token, str)
        }
        try:
            return self.tokenizer.get_vocab().get(ChatTemplate(source, tokens).end)
        except ValueError:
            return None


def open_model(
    place: str, *, name: str | None = None, device: torch.device | None = None
) -> OpenModel:
    """Open a model.

    Args:
        place: A folder, or `id` or `id@revision` on the Hub.
        name: What people call it; the last part of the place by default.
        device: Where it is computed; a GPU if there is one.

    Raises:
        DataError: It cannot be opened, the Hub does not answer, or it has no tokenizer.
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
    _check(place, model, tokenizer)
    model = cast("PreTrainedModel", cast("torch.nn.Module", model).to(device).eval())
    return OpenModel(name or identity.rstrip("/").split("/")[-1], model, tokenizer)


def num_rows(embeddings: Any) -> int:
    """Return the rows of a layer of embeddings: the tokens that a model knows, padding included."""
    return int(embeddings.weight.shape[0])


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
