"""Packed shards of generated text, and what they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.stages.mixtures import (
    Mixture,
    build_mixture,
    english_texts,
    khmer_texts,
)

TEXTS = {
    "khm_news@20260101": [*khmer_texts(150, seed=1), *khmer_texts(3, seed=4, mean_words=900)],
    "eng_news@20260101": english_texts(160, seed=3),
}


CONFIG = PackingConfig(seq_len=128, shard_rows=64)


TOKENIZER = TokenizerConfig(vocab_size=900, num_reserved_tokens=3, compare_gpt2=False)


def run_pack(
    store: Store,
    mixture: Mixture,
    engine: Engine,
    config: PackingConfig = CONFIG,
    tokenizer: TokenizerConfig = TOKENIZER,
) -> Packed:
    builder = mixture.builder(store, engine, packing=config, tokenizer=tokenizer)
    builder.build("training_mixture")
    builder.build("tokenizer")
    return Packed(builder, builder.build("packed_shards"))


class Packed(NamedTuple):
    """Packed shards, and what they were made of."""

    builder: Builder
    artifact: Artifact

    @property
    def path(self) -> Path:
        return self.artifact.path

    @property
    def report(self) -> Mapping[str, Any]:
        return self.artifact.report

    @property
    def tokenizer(self) -> Tokenizer:
        folder = self.builder.build("tokenizer").path
        return Tokenizer.from_file(str(folder / "tokenizer.json"))


def packed_mixture() -> Mixture:
    return build_mixture(TEXTS, shares={"khm_news": 0.6, "eng_news": 0.4})


def segments_of(reader: RowReader) -> list[tuple[tuple[int, ...], str, int]]:
    """Ids, source and bytes of every segment."""
    found = []
    for index in range(reader.num_rows):
        row = reader.row(index)
        assert (row.input_ids[row.cu_seqlens[-1] :] == reader.pad_id).all()
        assert (row.input_ids[: row.cu_seqlens[-1]] != reader.pad_id).all()
        for place, (start, stop) in enumerate(
            zip(row.cu_seqlens, row.cu_seqlens[1:], strict=False)
        ):
            ids = tuple(row.input_ids[start:stop].tolist())
            found.append((ids, reader.sources[row.sources[place]], int(row.num_bytes[place])))
    return found
