"""A base model's embeddings -> rows for the tokens of a tokenizer that was pruned, extended, or is another one.

    token of the base ──────────────────────────────────────────────────────────────▶ its row, wherever it stands now
    new token ──cut as the base tokenizer cuts it──▶ its pieces ──mean of their rows──▶ its row

In the input and, where it is not the same, in the output layer. A network that reads and writes a new token as the
mean of its pieces loses little at the first step; one with random rows begins anew in the new script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from tonsai_pipeline.errors import RecipeError

NewRows = Literal["subword_mean", "mean", "random"]


@dataclass(frozen=True)
class TokenMap:
    """What the tokens of a tokenizer are to a base model.

    Args:
        pieces: Ids of the base by our id, ascending, for each token that the base does not have under the same id. A
            token that it has under another id is its one piece.
        new_ids: Those of them that the base does not have at all.
        num_tokens: Our tokens: the largest id plus one.
        is_pruned: Whether the base has tokens that we do not have.
    """

    pieces: Mapping[int, Sequence[int]]
    new_ids: frozenset[int]
    num_tokens: int
    is_pruned: bool


_FILE = "tokenizer.json"
#: Any of them is a tokenizer; transformers converts the older two.
_FILES = (_FILE, "tokenizer.model", "vocab.json")


@cache  # the measure of the base, its new rows and the freezing of old ones all ask
def map_tokens(base: str, revision: str | None, tokenizer_dir: Path) -> TokenMap:
    """Find the tokens that a base model does not know, and cut each as the base tokenizer cuts its text.

    Args:
        base: Model folder or Hub id with its tokenizer.
        revision: Commit or tag of a Hub model.
        tokenizer_dir: The tokenizer that made the shards.

    Raises:
        RecipeError: The base's tokenizer cannot be opened.
    """
    ours = Tokenizer.from_file(str(tokenizer_dir / _FILE))
    return compare_tokens(load_base_tokenizer(base, revision), ours)


def compare_tokens(base: Tokenizer, ours: Tokenizer) -> TokenMap:
    """Do what `map_tokens` does with two open tokenizers.

    Args:
        base: The base model's.
        ours: The one that made the shards.
    """
    known = base.get_vocab(with_added_tokens=True)
    tokens = ours.get_vocab(with_added_tokens=True)
    found: dict[int, list[int]] = {}
    for token, number in tokens.items():
        if known.get(token) == number:
            continue
        # The model alone, without its pre-tokenizer: a token may begin with a space or end inside a letter.
        pieces = [known[token]] if token in known else [p.id for p in base.model.tokenize(token)]
        if pieces:
            found[number] = pieces
    return TokenMap(
        pieces=dict(sorted(found.items())),
        new_ids=frozenset(tokens[token] for token in tokens.keys() - known),
        num_tokens=max(tokens.values()) + 1,
        is_pruned=not known.keys() <= tokens.keys(),
    )


def fit_embeddings(
    model: PreTrainedModel, tokens: TokenMap, vocab_size: int, *, method: NewRows, seed: int
) -> None:
    """Give a base model a row for each id below `vocab_size`, those of its tokens and of new ones; in place.

    Args:
        model: It has fewer rows afterwards only where tokens of its own are gone.
        tokens: What ours are to it.
        vocab_size: Rows that the shards need.
        method: Rows of new tokens: subword_mean, the mean of the pieces' rows; mean, that of all rows; random, drawn
            with the spread of the rows of the base.
        seed: Seed of `random`.
    """
    old = [table.detach().clone() for table in _tables(model)]
    num_old = len(old[0])
    num_rows = vocab_size if tokens.is_pruned else max(vocab_size, num_old)
    if num_rows != num_old:
        model.resize_token_embeddings(num_rows, mean_resizing=False)
    # Rows that only pad the vocabulary are never read; the mean keeps them out of the way of the softmax's start.
    padding = range(tokens.num_tokens if tokens.is_pruned else num_old, num_rows)
    empty = {number: () for number in padding if number not in tokens.pieces}
    moved = {i: parts[0] for i, parts in tokens.pieces.items() if i not in tokens.new_ids}
    new = {i: tokens.pieces.get(i, ()) for i in sorted(tokens.new_ids)}
    for number, (table, rows) in enumerate(zip(_tables(model), old, strict=True)):
        generator = torch.Generator().manual_seed(seed * 2 + number)
        mean, spread = rows.mean(0), rows.std(0)
        with torch.no_grad():
            table[list(moved)] = rows[list(moved.values())]
            for token, parts in {**empty, **new}.items():
                if method == "random":
                    noise = torch.randn(mean.shape, generator=generator, dtype=rows.dtype)
                    table[token] = mean + noise * spread
                elif method == "mean" or not parts:
                    table[token] = mean
                else:
                    table[token] = rows[list(parts)].mean(0)


def _tables(model: PreTrainedModel) -> list[Tensor]:
    """Return what has a row for each token: the input layer, and what of the output layer is not the same."""
    inputs = cast("Tensor", model.get_input_embeddings().weight)
    head = model.get_output_embeddings()
    if head is None:
        return [inputs]
    others = [cast("Tensor", head.weight), cast("Tensor | None", getattr(head, "bias", None))]
    return [inputs, *(table for table in others if table is not None and table is not inputs)]


def load_base_tokenizer(base: str, revision: str | None) -> Tokenizer:
    """Open the tokenizer of a base model.

    Raises:
        RecipeError: The folder or repository holds none.
    """
    folder = Path(base)
    # transformers makes an empty tokenizer of a folder that holds none.
    if folder.is_dir() and not any((folder / name).is_file() for name in _FILES):
        raise RecipeError(
            f"model.base: {base} has none of {', '.join(_FILES)}, so its tokens cannot be distinguished from new ones; "
            "save the tokenizer beside the model"
        )
    try:
        opened = AutoTokenizer.from_pretrained(base, revision=revision)
        return cast("Tokenizer", opened.backend_tokenizer)
    except (OSError, ValueError, AttributeError) as error:
        raise RecipeError(
            f"model.base: {base}: its tokenizer cannot be opened, so its tokens cannot be distinguished from new ones: "
            f"{error}"
        ) from error
