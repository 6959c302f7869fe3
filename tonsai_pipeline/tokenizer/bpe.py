"""Counts of words -> a BPE model: vocabulary and merges, the same bytes whenever it is trained.

words ──units, alphabet──▶ symbol strings ──BpeTrainer──▶ learned merges ──text──▶ BpeModel
merges, in order of rank: bytes of a Khmer letter · coeng + consonant · clusters · what was learned
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tonsai_pipeline.text import clusters
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.tokenizer.alphabet import (
    BYTE_CHARS,
    BYTE_TOKENS,
    AlphabetName,
    frequent_chars,
    num_chars,
    to_byte_chars,
    token_bytes,
)
from tonsai_pipeline.tokenizer.units import Units, choose_units, is_nameable

#: Ends a word in the stream that the trainer reads; a noncharacter, so no text has it.
_END = "\ufdd0"
#: Copies of a word on one line of that stream, to bound the length of the line.
_MAX_COPIES = 4096
#: Merges learned beyond those needed, because those of over-long tokens are dropped afterwards.
_SPARE_FRAC = 0.25
#: Clusters take at most one token in so many, so that a small vocabulary still learns words.
_VOCAB_PER_CLUSTER = 8
_KHMER_LETTERS = tuple(chr(code) for code in range(cp.KHMER_FIRST, cp.KHMER_LAST + 1))


@dataclass(frozen=True)
class BpeOptions:
    """What decides a BPE model, beside the words.

    Args:
        vocab_size: Tokens, special ones included.
        alphabet: "byte": 256 bytes; "char": characters, and bytes of the rare ones.
        min_cluster_per_million: A Khmer cluster that occurs so often, per million clusters, is one symbol from
            the start; None learns from characters.
        max_token_chars: Longest token, in code points; keeps whole phrases out of the vocabulary.
        max_token_clusters: The same in Khmer clusters, which are two and a half to the word.
        min_frequency: Least count of a pair that is merged.
        min_char_count: "char" only: a character that occurs so often has a token of its own.
    """

    vocab_size: int = 50_000
    alphabet: AlphabetName = "byte"
    min_cluster_per_million: float | None = 2.0
    max_token_chars: int = 24
    max_token_clusters: int = 8
    min_frequency: int = 2
    min_char_count: int = 10


@dataclass
class BpeModel:
    """A model: `vocab` from token to id, special tokens first; `merges` in order of rank."""

    alphabet: AlphabetName
    vocab: dict[str, int] = field(default_factory=dict)
    merges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, token: str) -> None:
        """Give a token the next id, unless it has one."""
        self.vocab.setdefault(token, len(self.vocab))

    def merge(self, left: str, right: str) -> None:
        """Add a merge of two tokens, and the token it makes."""
        self.merges.append((left, right))
        self.add(left + right)


def train_bpe(
    words: Mapping[str, int], options: BpeOptions, *, special_tokens: Sequence[str] = ()
) -> BpeModel:
    """Learn a BPE model.

    Args:
        words: How often each word occurs (see `pretokenize.split_words`).
        options: What decides the model.
        special_tokens: They take the ids from 0.

    Returns:
        The model; smaller than `vocab_size` if too few pairs repeat.

    Raises:
        ValueError: There are no words, or `vocab_size` does not even hold alphabet, clusters and special
            tokens; the message has both numbers.
    """
    usable = {word: count for word, count in words.items() if is_nameable(word)}
    if not usable:
        raise ValueError("there are no words to learn from")
    least = options.min_cluster_per_million
    most = options.vocab_size // _VOCAB_PER_CLUSTER
    units = Units((), ()) if least is None else choose_units(usable, least, most)
    own_chars = frequent_chars(usable, options.min_char_count)
    model = _base_model(options.alphabet, special_tokens, own_chars, units)
    room = options.vocab_size - len(model.vocab)
    if room < 0:
        raise ValueError(
            f"vocab_size {options.vocab_size} is less than the {len(model.vocab)} tokens of alphabet, Khmer "
            "clusters and special tokens; raise vocab_size"
        )
    symbols = _symbol_words(usable, units, options.alphabet, frozenset(own_chars))
    learned = learn_merges(
        symbols,
        room + int(room * _SPARE_FRAC),
        min_frequency=options.min_frequency,
        max_symbols=options.max_token_chars,
    )
    for left, right in learned:
        if len(model.vocab) >= options.vocab_size:
            break
        tokens = (
            _write(units.expand(left), options.alphabet),
            _write(units.expand(right), options.alphabet),
        )
        if _is_short(token_bytes("".join(tokens), options.alphabet), options):
            model.merge(*tokens)
    return model


def _is_short(token: bytes, options: BpeOptions) -> bool:
    if num_chars(token) > options.max_token_chars:
        return False
    # A token may begin or end inside a letter; what is left of it is no cluster more.
    return len(clusters(token.decode("utf-8", errors="ignore"))) <= options.max_token_clusters


def learn_merges(
    words: Iterable[tuple[str, int]],
    num_merges: int,
    *,
    min_frequency: int = 2,
    max_symbols: int | None = None,
) -> list[tuple[str, str]]:
    """Run the trainer of `tokenizers` over counted words.

    Args:
        words: Words as strings of symbols, one character each, and their counts.
        num_merges: Merges at most.
        min_frequency: Least count of a pair that is merged.
        max_symbols: Longest result of a merge; None for any length.
    """
    counted = list(words)
    num_symbols = len({char for word, _ in counted for char in word} - {_END})
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(_END, "removed")
    trainer = trainers.BpeTrainer(
        vocab_size=num_symbols + num_merges,
        min_frequency=min_frequency,
        max_token_length=max_symbols,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(counted), trainer)
    merges = orjson.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def _base_model(
    alphabet: AlphabetName, special_tokens: Sequence[str], own_chars: Sequence[str], units: Units
) -> BpeModel:
    """Return the model before anything is learned: special tokens, alphabet, clusters."""
    model = BpeModel(alphabet)
    for token in (*special_tokens, *(BYTE_CHARS if alphabet == "byte" else BYTE_TOKENS)):
        model.add(token)
    if alphabet == "byte":
        letters = [to_byte_chars(letter) for letter in _KHMER_LETTERS]
        for lead in dict.fromkeys(letter[:2] for letter in letters):
            model.merge(lead[0], lead[1])
        for letter in letters:
            model.merge(letter[:2], letter[2])
    else:
        for char in sorted({*own_chars, *_KHMER_LETTERS}):
            model.add(char)
    for left, right in units.merges():
        model.merge(_write(left, alphabet), _write(right, alphabet))
    return model


def _write(text: str, alphabet: AlphabetName) -> str:
    """Write symbols that are text or, under "byte", already bytes, in the alphabet of the model."""
    if alphabet == "char":
        return text
    return "".join(to_byte_chars(char) if _is_khmer(char) else char for char in text)


def _symbol_words(
    words: Mapping[str, int], units: Units, alphabet: AlphabetName, own_chars: frozenset[str]
) -> Iterator[tuple[str, int]]:
    """Yield each word as a string of symbols, in a fixed order; rare characters end a word."""
    for word in sorted(words):
        symbols = units.encode(word)
        if alphabet == "byte":
            symbols = "".join(
                char if _is_khmer(char) or not is_nameable(char) else to_byte_chars(char)
                for char in symbols
            )
        else:
            symbols = "".join(
                char if char in own_chars or not is_nameable(char) else _END for char in symbols
            )
        yield symbols, words[word]


def _lines(words: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Repeat each word as often as it occurs: the trainer counts for itself."""
    for word, count in words:
        for start in range(0, count, _MAX_COPIES):
            yield (word + _END) * min(_MAX_COPIES, count - start)


def _is_khmer(char: str) -> bool:
    return cp.KHMER_FIRST <= ord(char) <= cp.KHMER_LAST
