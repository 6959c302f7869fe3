"""`--base` -> what its files tell, and what a recipe says that goes on from it.

folder with config.json ──look_at_base──▶ Base(name, 151936 tokens, ...)      Hub id ──▶ Base(name): not asked
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tonsai_pipeline.cli.base_model import read_config
from tonsai_pipeline.cli.init.words import quoted, size
from tonsai_pipeline.errors import RecipeError

#: Khmer tokens to add to a base model's tokenizer, by bytes of Khmer text: rare words need text to be learned.
_ADDED_TOKENS = ((200e6, 16_000), (20e6, 8_000), (2e6, 2_000))
#: A vocabulary from which on, and an amount of text in bytes from which on, it is proposed to keep fewer tokens, and how
#: many. Measured so: docs/training.md, "Fewer tokens".
_LARGE_VOCABULARY, _MIN_COUNTED_BYTES, _KEPT_TOKENS = 100_000, 16e6, 64_000


@dataclass(frozen=True)
class Base:
    """A model to go on from.

    Args:
        name: Its folder, or its Hub id.
        keep_tokens: How many of its tokens stay; None: all.
        vocab_size: Its tokens, as its config counts them: some of them may only pad. None: not known.
        parameters_per_token: What a token takes in the input and the output layer; 0: not known.
    """

    name: str
    keep_tokens: int | None = None
    vocab_size: int | None = None
    parameters_per_token: int = 0


def look_at_base(base: str, keep_tokens: int | None) -> Base:
    """Read what is known of a model without a network.

    Args:
        base: A folder or a Hub id.
        keep_tokens: How many of its tokens shall stay; None: all.

    Raises:
        RecipeError: It is neither, or has no more tokens than shall stay.
    """
    path = Path(base).expanduser()
    if not path.is_dir():
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", base) or base.startswith("."):
            raise RecipeError(f"--base {base}: no such folder, and no Hub id (organization/name)")
        return Base(base, keep_tokens)
    if not (path / "config.json").is_file():
        raise RecipeError(f"--base {base}: no config.json in it; name the folder of a saved model")
    config = read_config(path / "config.json", "--base")
    config = config.get("text_config", config)  # a model that sees pictures too
    vocab_size = config.get("vocab_size")
    if keep_tokens is not None and vocab_size is not None and keep_tokens >= vocab_size:
        raise RecipeError(
            f"--keep-base-tokens {keep_tokens}: {base} has {vocab_size:,}; name fewer, or leave the option away"
        )
    num_layers = 1 if config.get("tie_word_embeddings", True) else 2
    width = config.get("hidden_size") or config.get("n_embd") or 0
    return Base(str(path.absolute()), keep_tokens, vocab_size, num_layers * width)


def tokenizer_lines(base: Base, khmer_bytes: float, text_bytes: float) -> Iterator[str]:
    """Yield the lines of the section `tokenizer` that are about the base.

    Args:
        base: The model.
        khmer_bytes: UTF-8 bytes of Khmer in the text.
        text_bytes: UTF-8 bytes of all of it.
    """
    added = next((count for least, count in _ADDED_TOKENS if khmer_bytes >= least), 0)
    yield f"  base: {quoted(base.name)}  # the base model's own, so that its English is cut as before"
    if base.keep_tokens is not None:
        yield f"  keep_base_tokens: {base.keep_tokens}  # {_what_stays(base, base.keep_tokens)}"
    elif (base.vocab_size or _LARGE_VOCABULARY) >= _LARGE_VOCABULARY and (
        text_bytes >= _MIN_COUNTED_BYTES
    ):
        known = "" if base.vocab_size else f"if it has {_LARGE_VOCABULARY:,} and more: "
        yield f"  # keep_base_tokens: {_KEPT_TOKENS}  # {known}{_what_stays(base, _KEPT_TOKENS)}"
    if added:
        yield f"  extend_khmer_tokens: {added}  # {size(khmer_bytes)} of Khmer can teach so many new ones"
    else:
        yield f"  # No Khmer tokens are added: {size(khmer_bytes)} of Khmer would not teach them."
    if not Path(base.name).is_dir():
        yield "  # base_revision: <commit>  # pin it here and below, or the run cannot be repeated"


def _what_stays(base: Base, kept: int) -> str:
    of = f"of its {base.vocab_size:,} tokens" if base.vocab_size else "of its tokens"
    saved = ((base.vocab_size or 0) - kept) * base.parameters_per_token
    less = f", {saved / 1e6:,.1f} M parameters less" if saved > 0 else ""
    return f"{of} those that this text uses most{less}; not to go on with other languages later"
