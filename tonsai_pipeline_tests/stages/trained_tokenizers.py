"""Tokenizers of generated text and of raw files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.stages.train_tokenizer.stage import train_tokenizer_files
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.stages.mixtures import (
    Mixture,
    build_mixture,
    english_texts,
    khmer_texts,
)

CONFIG = TokenizerConfig(vocab_size=1400, num_reserved_tokens=3)


def tokenizer_mixture() -> Mixture:
    texts = {
        "khm_news@20260101": khmer_texts(120, seed=1),
        "khm_wiki@20260101": khmer_texts(60, seed=2),
        "eng_news@20260101": english_texts(150, seed=3),
    }
    return build_mixture(texts, shares={"khm_news": 0.4, "khm_wiki": 0.2, "eng_news": 0.4})


def train(
    store: Store,
    mixture: Mixture,
    engine: Engine,
    config: TokenizerConfig = CONFIG,
    /,
    *,
    force: bool = True,
    **sections: Any,
) -> Artifact:
    builder = mixture.builder(store, engine, tokenizer=config, **sections)
    return builder.build("tokenizer", force=force)


def train_files(folder: Path, inputs: list[Path], engine: Engine, config: TokenizerConfig = CONFIG):
    return train_tokenizer_files(
        inputs, folder, config=config, normalize=NormalizeConfig(), engine=engine
    )
