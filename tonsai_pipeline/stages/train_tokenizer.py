"""training_mixture -> tokenizer: a folder that AutoTokenizer opens, and a report on how well it cuts.

    sampled texts ──count_words──▶ WordCounts ──train_bpe──▶ tokenizer.json, tokenizer_config.json, ...
    held-out texts ──cut with it, and with GPT-2's words──▶ report

The knowledge is in the `tokenizer` room; here are the sample and the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import Language, Split
from tonsai_pipeline.stages.count_words import WordCounts, content_by_source, count_words
from tonsai_pipeline.stages.mixture_texts import (
    SHARES_NAME,
    TextPart,
    mixture_parts,
    read_texts,
)
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json, write_bytes
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import NORMALIZER_VERSION, NormalizeOptions
from tonsai_pipeline.tokenizer import TOKENIZER_VERSION
from tonsai_pipeline.tokenizer.assemble import (
    INFO_NAME,
    build_tokenizer,
    parse_info,
    special_tokens,
    tokenizer_files,
)
from tonsai_pipeline.tokenizer.baseline import train_gpt2
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.fertility import (
    Fertility,
    describe_vocabulary,
    measure,
    most_frequent_khmer,
)
from tonsai_pipeline.tokenizer.sample import SourceSample, plan_sample

STAGE_VERSION = f"1+tokenizer{TOKENIZER_VERSION}+text{NORMALIZER_VERSION}"

#: Held-out text that is measured, per language, in bytes: enough for three digits of bytes per token.
_MAX_MEASURED_BYTES = 4_000_000


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
        khmer_tokens_saved: Khmer tokens with GPT-2's words over Khmer tokens with ours, or None.
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
    khmer_tokens_saved: float | None
    tokens_by_script: Mapping[str, int]
    longest_khmer: Sequence[str]
    frequent_khmer: Sequence[tuple[str, int]]


def train_tokenizer(
    mixture: Artifact,
    normalized: Mapping[str, Artifact],
    folder: Path,
    *,
    config: TokenizerConfig,
    normalize: NormalizeConfig,
    engine: Engine,
    store: Store,
) -> TokenizerReport:
    """Train a tokenizer on a sample of the mixture's training documents.

    Args:
        mixture: The training_mixture.
        normalized: normalized_documents by dump, in catalog order.
        folder: The building folder.
        config: The recipe's `tokenizer` section.
        normalize: The recipe's `normalize` section: the tokenizer normalizes likewise.
        engine: Where words are counted.
        store: Where the mixture's dumps are found.

    Raises:
        DataError: The mixture has no text to train on.
        RecipeError: The vocabulary is too small for alphabet and clusters.
    """
    parts = mixture_parts(mixture, normalized, store)
    sample = _plan(mixture, parts, config)
    counts = count_words(parts, sample, folder, config=config, engine=engine)
    held_out = _held_out(parts)
    return save_tokenizer(
        counts, held_out, folder, config=config, normalize=normalize, sample=sample
    )


def save_tokenizer(
    counts: WordCounts,
    held_out: Mapping[str, Sequence[str]],
    folder: Path,
    *,
    config: TokenizerConfig,
    normalize: NormalizeConfig,
    sample: Mapping[str, SourceSample],
) -> TokenizerReport:
    """Train on counts of words, write the folder, and measure.

    Args:
        counts: Words of the sample.
        held_out: Texts by language that were not trained on.
        folder: Where the tokenizer's files go.
        config: The recipe's `tokenizer` section.
        normalize: The recipe's `normalize` section.
        sample: What the words are a sample of, for the report.

    Raises:
        DataError: There are no words.
        RecipeError: The vocabulary is too small for alphabet and clusters.
    """
    if not counts.ours:
        raise DataError("no words to train a tokenizer on: the sample of the mixture is empty")
    specials = special_tokens(config.num_reserved_tokens)
    try:
        model = train_bpe(counts.ours, _bpe_options(config), special_tokens=specials)
    except ValueError as error:
        raise RecipeError(f"tokenizer: {error}") from error
    options = NormalizeOptions(coeng_da=normalize.coeng_da)
    tokenizer = build_tokenizer(model, specials, options)
    write_tokenizer(folder, tokenizer_files(tokenizer, options))
    return _report(folder, tokenizer, counts, held_out, sample)


def write_tokenizer(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a tokenizer folder."""
    for name, data in files.items():
        write_bytes(folder / name, data)


def _plan(
    mixture: Artifact, parts: Sequence[TextPart], config: TokenizerConfig
) -> dict[str, SourceSample]:
    """Decide what is taken of each source."""
    shares = cast("dict[str, Any]", read_json(mixture.path / SHARES_NAME))
    try:
        return plan_sample(
            content_by_source(parts, config),
            {name: float(entry["share"]) for name, entry in shares["sources"].items()},
            max_content_bytes=config.sample.max_content_bytes,
            max_repeats=config.sample.max_repeats,
        )
    except ValueError as error:
        raise DataError(f"{mixture.path}: {error}; no tokenizer can be trained on it") from error


def _held_out(parts: Sequence[TextPart]) -> dict[str, list[str]]:
    """Return the first validation documents of each language."""
    texts: dict[str, list[str]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for part in parts:
        table = read_part(part.pointers, ["row_in_part", "lang", "split", "num_bytes"])
        rows = []
        columns = (table[name].to_pylist() for name in ("lang", "split", "num_bytes"))
        for row, (lang, split, num_bytes) in enumerate(zip(*columns, strict=True)):
            wanted = lang in (Language.KHM, Language.ENG) and split == Split.VALIDATION
            if wanted and sizes[lang] < _MAX_MEASURED_BYTES:
                sizes[lang] += num_bytes
                rows.append(row)
        langs = table["lang"].to_pylist()
        row_in_part = table["row_in_part"].to_numpy()
        for selected in read_texts(part, row_in_part, np.array(rows, dtype=np.int64)):
            for row, text in zip(selected.rows, selected.texts.to_pylist(), strict=True):
                texts[langs[row]].append(text)
    return dict(texts)


def _report(
    folder: Path,
    tokenizer: Tokenizer,
    counts: WordCounts,
    held_out: Mapping[str, Sequence[str]],
    sample: Mapping[str, SourceSample],
) -> TokenizerReport:
    info = parse_info((folder / INFO_NAME).read_bytes())
    ours = {lang: measure(tokenizer, texts) for lang, texts in held_out.items()}
    plain: dict[str, Fertility] | None = None
    if counts.gpt2 is not None:
        peer = train_gpt2(counts.gpt2, info.vocab_size)
        plain = {lang: measure(peer, texts) for lang, texts in held_out.items()}
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
        khmer_tokens_saved=saved,
        tokens_by_script=vocabulary.tokens_by_script,
        longest_khmer=vocabulary.longest_khmer,
        frequent_khmer=most_frequent_khmer(tokenizer, held_out.get(khmer, [])),
    )


def _bpe_options(config: TokenizerConfig) -> BpeOptions:
    return BpeOptions(
        vocab_size=config.vocab_size,
        alphabet=config.alphabet,
        min_cluster_per_million=config.min_cluster_per_million,
        max_token_chars=config.max_token_chars,
        min_frequency=config.min_frequency,
        min_char_count=config.min_char_count,
    )
