"""A base model's embeddings -> rows for the tokens that its own tokenizer does not have.

    new token ──cut as the base tokenizer cuts it──▶ its pieces ──mean of their rows──▶ its row

In the input and, where it is not the same, in the output layer. A network that reads and writes a new token as the
mean of its pieces loses little at the first step; one with random rows begins anew in the new script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel

from tonsai_pipeline.errors import RecipeError

NewRows = Literal["subword_mean", "mean", "random"]

#: Pieces of each new token: ids of the base tokenizer by the new id.
Pieces = Mapping[int, Sequence[int]]

_FILE = "tokenizer.json"
#: Any of them is a tokenizer; transformers converts the older two.
_FILES = (_FILE, "tokenizer.model", "vocab.json")


@cache  # the measure of the base, its new rows and the freezing of old ones all ask
def new_token_pieces(base: str, revision: str | None, tokenizer_dir: Path) -> dict[int, list[int]]:
    """Find the tokens that a base model does not know, and cut each as the base tokenizer cuts its text.

    Args:
        base: Model folder or Hub id with its tokenizer.
        revision: Commit or tag of a Hub model.
        tokenizer_dir: The tokenizer that made the shards.

    Returns:
        Base ids by new id, ascending. A token that the base has under another id is its one piece.

    Raises:
        RecipeError: One of the two tokenizers cannot be opened.
    """
    ours = Tokenizer.from_file(str(tokenizer_dir / _FILE))
    return pieces_of(load_base_tokenizer(base, revision), ours)


def pieces_of(base: Tokenizer, ours: Tokenizer) -> dict[int, list[int]]:
    """Do what `new_token_pieces` does with two open tokenizers.

    Args:
        base: The base model's.
        ours: The one that made the shards.
    """
    known = base.get_vocab(with_added_tokens=True)
    found = {}
    for token, number in ours.get_vocab(with_added_tokens=True).items():
        if known.get(token) == number:
            continue
        # The model alone, without its pre-tokenizer: a token may begin with a space or end inside a letter.
        pieces = [known[token]] if token in known else [p.id for p in base.model.tokenize(token)]
        if pieces:
            found[number] = pieces
    return dict(sorted(found.items()))


def grow_embeddings(
    model: PreTrainedModel, pieces: Pieces, vocab_size: int, *, method: NewRows, seed: int
) -> None:
    """Give a base model a row for each id below `vocab_size`, and fill those of new tokens; in place.

    Args:
        model: Its rows are never fewer afterwards.
        pieces: Of each new token, see `new_token_pieces`.
        vocab_size: Rows that the shards need.
        method: subword_mean, the mean of the pieces' rows; mean, that of all rows; random, drawn with the
            spread of the rows of the base.
        seed: Seed of `random`.
    """
    layers = [cast("nn.Module", model.get_input_embeddings())]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not layers[0].weight:
        layers.append(cast("nn.Module", head))
    old = [cast("Tensor", layer.weight).detach().clone() for layer in layers]
    num_old = len(old[0])
    if num_old < vocab_size:
        model.resize_token_embeddings(vocab_size, mean_resizing=False)
    layers[0] = cast("nn.Module", model.get_input_embeddings())
    if len(layers) > 1:
        layers[1] = cast("nn.Module", model.get_output_embeddings())
    # Rows that only pad the vocabulary are never read; the mean keeps them out of the way of the softmax's start.
    padding = {number: () for number in range(num_old, vocab_size) if number not in pieces}
    for number, (layer, rows) in enumerate(zip(layers, old, strict=True)):
        generator = torch.Generator().manual_seed(seed * 2 + number)
        weight = cast("Tensor", layer.weight)
        mean, spread = rows.mean(0), rows.std(0)
        with torch.no_grad():
            for token, parts in {**padding, **pieces}.items():
                if method == "random":
                    noise = torch.randn(len(mean), generator=generator, dtype=rows.dtype)
                    weight[token] = mean + noise * spread
                elif method == "mean" or not parts:
                    weight[token] = mean
                else:
                    weight[token] = rows[list(parts)].mean(0)


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
