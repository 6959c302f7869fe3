"""Texts -> how often each word occurs, cut our way and GPT-2's way, and each token of a base tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pyarrow as pa

from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.stages.train_tokenizer.base_tokenizer import load_base
from tonsai_pipeline.tokenizer.assemble import describe
from tonsai_pipeline.tokenizer.encode import Encoder
from tonsai_pipeline.tokenizer.pretokenize import split_words, split_words_gpt2

Count = Callable[[pa.Array], Mapping[str, int]]


def kinds_of(config: TokenizerConfig) -> tuple[str, ...]:
    """Return what is counted: `ours`, and `gpt2` and `base` where they are asked for."""
    compared = config.compare_gpt2 and (config.base is None or config.extend_khmer_tokens > 0)
    wanted = {"ours": True, "gpt2": compared, "base": config.keep_base_tokens is not None}
    return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)


def open_counters(config: TokenizerConfig, *, fast: bool) -> dict[str, Count]:
    """Return how each kind is counted.

    Args:
        config: The recipe's `tokenizer` section.
        fast: Whether to look for a fast encoder for the base; what it counts may raise `WrongIdsError`.

    Raises:
        RecipeError: There is no such base.
        DataError: It is damaged.
    """
    make: dict[str, Callable[[], Count]] = {
        "ours": lambda: partial(_count_words, split_words),
        "gpt2": lambda: partial(_count_words, split_words_gpt2),
        "base": lambda: _BaseTokens(str(config.base), config.base_revision, fast=fast),
    }
    return {kind: make[kind]() for kind in kinds_of(config)}


def _count_words(split: Callable[[str], list[str]], texts: pa.Array) -> Counter[str]:
    return Counter(word for text in texts.to_pylist() for word in split(text))


class _BaseTokens:
    """Counts the tokens of a base tokenizer, which cuts each text whole: it may join what our words part."""

    def __init__(self, base: str, revision: str | None, *, fast: bool) -> None:
        found = load_base(base, revision)
        info = describe(found.tokenizer, bos=found.bos, eos=found.eos, pad=found.pad)
        self._tokens = {
            number: token
            for token, number in found.tokenizer.get_vocab(with_added_tokens=True).items()
        }
        self._encoder = Encoder(found.tokenizer.to_str().encode(), info, np.uint32, fast=fast)

    def __call__(self, texts: pa.Array) -> dict[str, int]:
        ids, _ = self._encoder.encode(texts)
        numbers, counts = np.unique(ids, return_counts=True)
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        return {self._tokens[number]: count for number, count in pairs}
