"""Text -> tokenizer: a folder that AutoTokenizer opens, and a report on how well it cuts.

    training_mixture ──sample──▶ words ──count──┐
    raw text files ────────────▶ words ──count──┴▶ save_tokenizer ──▶ tokenizer.json, ... , TokenizerReport
    held-out and parallel texts ──cut with it, and with GPT-2's words──────────────────────▶┘

The knowledge is in the `tokenizer` package; here are the texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lineage import Fields, Stage, every_dump, whole
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import DumpKey, Language, Split
from tonsai_pipeline.stages.mix.shares import mixed_sources
from tonsai_pipeline.stages.mix.texts import (
    SHARES_NAME,
    TextPart,
    mixture_parts,
    read_texts,
)
from tonsai_pipeline.stages.train_tokenizer.count_files import count_files
from tonsai_pipeline.stages.train_tokenizer.count_words import (
    WordCounts,
    content_by_source,
    count_words,
)
from tonsai_pipeline.stages.train_tokenizer.parallel_texts import parallel_texts
from tonsai_pipeline.stages.train_tokenizer.tokenizer_folder import (
    TokenizerReport,
    needs_words,
    save_tokenizer,
)
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text import NORMALIZER_VERSION
from tonsai_pipeline.tokenizer import TOKENIZER_VERSION
from tonsai_pipeline.tokenizer.sample import SourceSample, cap_shares, plan_sample

#: Held-out text that is measured, per language, in bytes: enough for three digits of bytes per token.
_MAX_MEASURED_BYTES = 4_000_000


def train_tokenizer(
    mixture: Artifact,
    mixed: Mapping[DumpKey, Artifact],
    normalized: Mapping[DumpKey, Artifact],
    parallel: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    config: TokenizerConfig,
    normalize: NormalizeConfig,
    engine: Engine,
) -> TokenizerReport:
    """Train a tokenizer on a sample of the mixture's training documents, or take, prune or extend `config.base`.

    Args:
        mixture: The training_mixture: its shares.
        mixed: mixture_documents by dump, in catalog order.
        normalized: normalized_documents of the same dumps.
        parallel: normalized_documents of the sources that say the same, for the report.
        folder: The building folder.
        config: The recipe's `tokenizer` section.
        normalize: The recipe's `normalize` section: the tokenizer normalizes likewise.
        engine: Where words are counted.

    Raises:
        DataError: The mixture has no text to train on.
        RecipeError: The vocabulary is too small for alphabet and clusters, there is no such base, or a parallel
            source has no dump.
    """
    parts = mixture_parts(mixed, normalized)
    sample: dict[str, SourceSample] = {}
    counts = WordCounts({}, None)
    if needs_words(config):
        sample = _plan(mixture, parts, config)
        counts = count_words(parts, sample, folder, config=config, engine=engine)
    return save_tokenizer(
        counts,
        _held_out(parts),
        folder,
        config=config,
        normalize=normalize,
        sample=sample,
        parallel=None if config.parallel is None else parallel_texts(parallel, config.parallel),
    )


def train_tokenizer_files(
    inputs: Sequence[Path],
    folder: Path,
    *,
    config: TokenizerConfig,
    normalize: NormalizeConfig,
    engine: Engine,
    text_column: str = "text",
) -> TokenizerReport:
    """Train a tokenizer on raw text files, or on datasets saved by `datasets`; or take or extend `config.base`.

    All text counts alike, as it is: there are no shares to balance by. One block of lines in a hundred is held
    out for the report.

    Args:
        inputs: Plain text files (UTF-8), or folders with `.arrow` files.
        folder: Where the tokenizer goes; counts of words of a killed run are found there again.
        config: The recipe's `tokenizer` section; its `sample` is left aside.
        normalize: The recipe's `normalize` section.
        engine: Where words are counted.
        text_column: Column of the text in `.arrow` files.

    Raises:
        DataError: A file is missing or is not UTF-8, or there is no text in any.
        RecipeError: The vocabulary is too small for alphabet and clusters, or there is no such base.
    """
    counts, held_out = count_files(
        inputs, folder, config=config, normalize=normalize, engine=engine, text_column=text_column
    )
    return save_tokenizer(counts, held_out, folder, config=config, normalize=normalize, sample={})


def _plan(
    mixture: Artifact, parts: Sequence[TextPart], config: TokenizerConfig
) -> dict[str, SourceSample]:
    """Decide what is taken of each source."""
    sources = cast("dict[str, Any]", read_json(mixture.path / SHARES_NAME))["sources"]
    content = content_by_source(parts, config)
    shares = {name: float(entry["share"]) for name, entry in sources.items() if content.get(name)}
    languages = {name: str(entry["lang"]) for name, entry in sources.items()}
    try:
        return plan_sample(
            content,
            cap_shares(shares, languages, config.sample.max_source_frac),
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


def parallel_sources(recipe: Recipe) -> set[str]:
    """Return the sources that are measured as translations of each other."""
    pair = recipe.tokenizer.parallel
    return set() if pair is None else {pair.khm, pair.eng}


STAGE = Stage(
    "tokenizer",
    version=f"2+tokenizer{TOKENIZER_VERSION}+text{NORMALIZER_VERSION}",
    make=train_tokenizer,
    fields={
        "config": Fields("tokenizer"),
        "normalize": Fields("normalize", only=("coeng_da", "duplicate_marks")),
    },
    reads={
        "mixture": whole("training_mixture"),
        "mixed": every_dump("mixture_documents", of=mixed_sources),
        "normalized": every_dump("normalized_documents", of=mixed_sources),
        "parallel": every_dump("normalized_documents", of=parallel_sources),
    },
)
