"""Counts of words -> a BPE model: vocabulary and merges, deterministic to the byte.

    words ──Units.encode, alphabet──▶ symbol strings ──BpeTrainer──▶ learned merges ──expand──▶ BpeModel
    first merges: bytes of a Khmer letter, coeng + consonant, clusters; then what was learned

Two alphabets. "byte": 256 bytes, written as GPT-2 writes them, so that any text is a string of tokens. "char":
characters, and a byte token for each byte of a character too rare to have its own. Khmer is never cut inside a
character by either: the bytes of a Khmer letter are merged first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.tokenizer.alphabet import BYTE_TO_CHAR, byte_token, to_byte_chars
from tonsai_pipeline.tokenizer.units import Units, choose_units

Alphabet = Literal["byte", "char"]

#: Ends a word in the stream that the trainer reads; a noncharacter, so no text has it.
_END = "\ufdd0"
#: A word is repeated in pieces of at most this many copies, to bound the length of one line of the stream.
_MAX_COPIES = 4096
#: More merges are learned than needed, because those of over-long tokens are thrown away afterwards.
_SPARE_FRAC = 0.25
_KHMER_LETTERS = tuple(chr(code) for code in range(cp.KHMER_FIRST, cp.KHMER_LAST + 1))


@dataclass(frozen=True)
class BpeOptions:
    """What decides a BPE model, beside the words.

    Args:
        vocab_size: Tokens, special ones included.
        alphabet: "byte" or "char".
        min_cluster_count: A Khmer cluster that occurs so often is assembled first; 0 learns from characters.
        max_token_chars: Longest token, in code points; keeps whole phrases out of the vocabulary.
        min_frequency: Least count of a pair that is merged.
        min_char_count: "char" only: a character that occurs so often has a token of its own.
    """

    vocab_size: int = 50_000
    alphabet: Alphabet = "byte"
    min_cluster_count: int = 3
    max_token_chars: int = 24
    min_frequency: int = 2
    min_char_count: int = 10


@dataclass(frozen=True)
class BpeModel:
    """A trained model: `vocab` from token to id (special tokens first), `merges` in order of rank."""

    vocab: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    alphabet: Alphabet


def train_bpe(
    words: Mapping[str, int], options: BpeOptions, *, special_tokens: Sequence[str] = ()
) -> BpeModel:
    """Learn a BPE model.

    Args:
        words: How often each word occurs (see `pretokenize.split_words`).
        options: What decides the model.
        special_tokens: Take ids from 0.

    Returns:
        The model; smaller than `vocab_size` if the words do not have enough repeated pairs.

    Raises:
        ValueError: There are no words, or `vocab_size` does not even hold alphabet, clusters and special
            tokens; the message has both numbers.
    """
    if not words:
        raise ValueError("there are no words to learn from")
    usable = {word: count for word, count in words.items() if not _has_private(word)}
    least = options.min_cluster_count
    units = choose_units(usable, least) if least else Units((), ())
    alphabet = _Alphabet(options.alphabet, usable, options.min_char_count)
    base = _Base(special_tokens, alphabet, units)
    room = options.vocab_size - len(base.vocab)
    if room < 0:
        raise ValueError(
            f"vocab_size {options.vocab_size} is less than the {len(base.vocab)} tokens of alphabet, Khmer "
            "clusters and special tokens; raise vocab_size or min_cluster_count"
        )
    num_wanted = room + int(room * _SPARE_FRAC)
    learned = _learn(_symbols(usable, units, alphabet), num_wanted, options)
    for left, right in learned:
        if len(base.vocab) == options.vocab_size:
            break
        base.merge(alphabet.write(units.expand(left)), alphabet.write(units.expand(right)), options)
    return BpeModel(base.vocab, base.merges, options.alphabet)
