"""Counts of words, or an existing tokenizer -> a tokenizer folder, measured on held-out text.

WordCounts ──train_bpe────────────────────┐
base ──load_base──[prune]──[extend]───────┴▶ tokenizer.json, tokenizer_config.json, ... ──▶ TokenizerReport
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import Language
from tonsai_pipeline.stages.train_tokenizer.base_tokenizer import load_base
from tonsai_pipeline.stages.train_tokenizer.count_words import WordCounts
from tonsai_pipeline.storage.files import write_bytes
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.assemble import (
    INFO_NAME,
    build_tokenizer,
    parse_info,
    special_tokens,
    tokenizer_files,
)
from tonsai_pipeline.tokenizer.baseline import train_gpt2
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.extend import extend_tokenizer
from tonsai_pipeline.tokenizer.fertility import (
    Fertility,
    describe_vocabulary,
    measure,
    measure_parity,
    most_frequent_khmer,
)
from tonsai_pipeline.tokenizer.prune import prune_tokenizer
from tonsai_pipeline.tokenizer.sample import SourceSample

#: Held-out texts of each language that AutoTokenizer must cut as tokenizer.json does, beside the shipped probes.
_PROVED_TEXTS = 200


@dataclass(frozen=True)
class TokenizerReport:
    """What the tokenizer is and how it cuts held-out text.

    Args:
        vocab_size: Tokens.
        padded_vocab_size: Rows of the model's embedding.
        digest: Names the tokenizer.
        sample: Fraction of documents and repeats of words, by source.
        num_words: Words of the sample, repeats included.
        num_distinct_words: Different words.
        fertility: How held-out text of each language is cut (see `Fertility`).
        gpt2_fertility: The same by a tokenizer of the same size trained with GPT-2's words, or None.
        parity: Tokens of Khmer and English that say the same (see `Parity`), or None without parallel text.
        gpt2_parity: The same with GPT-2's words, or None.
        khmer_tokens_saved: Khmer tokens with GPT-2's words over Khmer tokens with ours, or None.
        dropped_frac: Share of the sample's tokens, as the base cuts it, whose token was dropped; None where all stay.
        tokens_by_script: What the vocabulary is made of.
        longest_khmer: The longest Khmer tokens.
        frequent_khmer: The most frequent Khmer tokens of the held-out text, with counts.
    """

    vocab_size: int
    padded_vocab_size: int
    digest: str
    sample: Mapping[str, Mapping[str, float]]
    num_words: int
    num_distinct_words: int
    fertility: Mapping[str, Mapping[str, Any]]
    gpt2_fertility: Mapping[str, Mapping[str, Any]] | None
    parity: Mapping[str, float] | None
    gpt2_parity: Mapping[str, float] | None
    khmer_tokens_saved: float | None
    dropped_frac: float | None
    tokens_by_script: Mapping[str, int]
    longest_khmer: Sequence[str]
    frequent_khmer: Sequence[tuple[str, int]]


class ParallelTexts(NamedTuple):
    """Texts that say the same: `khm[i]` is a translation of `eng[i]`."""

    khm: Sequence[str]
    eng: Sequence[str]


def needs_words(config: TokenizerConfig) -> bool:
    """Return whether the tokenizer learns from text at all."""
    is_changed = config.extend_khmer_tokens > 0 or config.keep_base_tokens is not None
    return config.base is None or is_changed


def save_tokenizer(
    counts: WordCounts,
    held_out: Mapping[str, Sequence[str]],
    folder: Path,
    *,
    config: TokenizerConfig,
    normalize: NormalizeConfig,
    sample: Mapping[str, SourceSample],
    parallel: ParallelTexts | None = None,
) -> TokenizerReport:
    """Train, take, prune or extend a tokenizer, write its folder, and measure it.

    Args:
        counts: Words of the sample.
        held_out: Texts by language that were not trained on.
        folder: Where the tokenizer's files go.
        config: The recipe's `tokenizer` section.
        normalize: The recipe's `normalize` section.
        sample: What the words are a sample of, for the report.
        parallel: Texts that are translations of each other, for the report.

    Raises:
        DataError: There are no words to learn from, the base tokenizer is damaged, or AutoTokenizer would cut text
            otherwise than tokenizer.json.
        RecipeError: The vocabulary is too small for alphabet and clusters, or there is no such base.
    """
    if needs_words(config) and not counts.ours:
        raise DataError(
            "there are no words to train a tokenizer on: the sample of the text is empty"
        )
    options = normalize.options()
    try:
        make = _train if config.base is None else _take
        tokenizer, files = make(counts, config, options)
    except ValueError as error:
        raise RecipeError(f"tokenizer: {error}") from error
    for name, data in files.items():
        write_bytes(folder / name, data)
    _prove(folder, held_out)
    return _report(folder, tokenizer, counts, held_out, sample, parallel)


def _train(
    counts: WordCounts, config: TokenizerConfig, options: NormalizeOptions
) -> tuple[Tokenizer, dict[str, bytes]]:
    specials = special_tokens(config.num_reserved_tokens)
    model = train_bpe(counts.ours, _bpe_options(config), special_tokens=specials)
    tokenizer = build_tokenizer(model, specials, options)
    return tokenizer, tokenizer_files(tokenizer, options)


def _take(
    counts: WordCounts, config: TokenizerConfig, options: NormalizeOptions
) -> tuple[Tokenizer, dict[str, bytes]]:
    base = load_base(str(config.base), config.base_revision)
    tokenizer = base.tokenizer
    if config.keep_base_tokens is not None:
        tokenizer = prune_tokenizer(tokenizer, counts.base or {}, config.keep_base_tokens)
    if config.extend_khmer_tokens:
        tokenizer = extend_tokenizer(
            tokenizer,
            counts.ours,
            config.extend_khmer_tokens,
            max_token_chars=config.max_token_chars,
            join_marks=config.extend_words == "qwen35",
        )
    files = tokenizer_files(
        tokenizer,
        options,
        bos=base.bos,
        eos=base.eos,
        pad=base.pad,
        config=base.config,
        chat_template=base.chat_template,
    )
    return tokenizer, files


def _prove(folder: Path, held_out: Mapping[str, Sequence[str]]) -> None:
    """Refuse a folder that AutoTokenizer would open as another tokenizer."""
    # Here and not above: transformers takes four seconds to load.
    from tonsai_pipeline.model.auto_tokenizer import prove_auto_tokenizer

    prove_auto_tokenizer(
        folder, chain.from_iterable(texts[:_PROVED_TEXTS] for texts in held_out.values())
    )


def _report(
    folder: Path,
    tokenizer: Tokenizer,
    counts: WordCounts,
    held_out: Mapping[str, Sequence[str]],
    sample: Mapping[str, SourceSample],
    parallel: ParallelTexts | None,
) -> TokenizerReport:
    info = parse_info((folder / INFO_NAME).read_bytes())
    ours = {lang: measure(tokenizer, texts) for lang, texts in held_out.items()}
    parity = None if parallel is None else measure_parity(tokenizer, *parallel)
    plain: dict[str, Fertility] | None = None
    plain_parity = None
    if counts.gpt2 is not None:
        peer = train_gpt2(counts.gpt2, info.vocab_size)
        plain = {lang: measure(peer, texts) for lang, texts in held_out.items()}
        plain_parity = None if parallel is None else measure_parity(peer, *parallel)
    khmer = Language.KHM.value
    saved = plain[khmer].num_tokens / ours[khmer].num_tokens if plain and khmer in ours else None
    vocabulary = describe_vocabulary(tokenizer)
    return TokenizerReport(
        vocab_size=info.vocab_size,
        padded_vocab_size=info.padded_vocab_size,
        digest=info.digest,
        sample={name: one._asdict() for name, one in sample.items()},
        num_words=sum(counts.ours.values()),
        num_distinct_words=len(counts.ours),
        fertility={lang: asdict(one) for lang, one in ours.items()},
        gpt2_fertility=None
        if plain is None
        else {lang: asdict(one) for lang, one in plain.items()},
        parity=None if parity is None else asdict(parity),
        gpt2_parity=None if plain_parity is None else asdict(plain_parity),
        khmer_tokens_saved=saved,
        dropped_frac=None if counts.base is None else _dropped_frac(tokenizer, counts.base),
        tokens_by_script=vocabulary.tokens_by_script,
        longest_khmer=vocabulary.longest_khmer,
        frequent_khmer=most_frequent_khmer(tokenizer, held_out.get(khmer, [])),
    )


def _dropped_frac(tokenizer: Tokenizer, counts: Mapping[str, int]) -> float:
    known = tokenizer.get_vocab(with_added_tokens=True)
    return sum(n for token, n in counts.items() if token not in known) / sum(counts.values())


def _bpe_options(config: TokenizerConfig) -> BpeOptions:
    return BpeOptions(
        vocab_size=config.vocab_size,
        alphabet=config.alphabet,
        min_cluster_per_million=config.min_cluster_per_million,
        max_token_chars=config.max_token_chars,
        max_token_clusters=config.max_token_clusters,
        min_frequency=config.min_frequency,
        min_char_count=config.min_char_count,
    )
