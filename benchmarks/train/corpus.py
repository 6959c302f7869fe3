"""Real text -> a tokenizer and packed rows made by the product's own stages, and the documents they were made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from tonsai_pipeline.engine import open_engine

#: Documents of a run; more would only make packing take longer, not a step.
MAX_DOCUMENTS = 12_000


@dataclass(frozen=True)
class Corpus:
    """What both ways train on.

    Args:
        documents: Normalized texts by language, as many of each as are packed.
        tokenizer_dir: Folder of the tokenizer that cuts them.
        shards: Packed rows by row length.
    """

    documents: dict[str, list[str]]
    tokenizer_dir: Path
    shards: dict[int, Path]

    def shuffled(self, seed: int) -> list[str]:
        """Return all documents in random order."""
        whole = [text for found_texts in self.documents.values() for text in found_texts]
        return [whole[i] for i in np.random.default_rng(seed).permutation(len(whole))]


def build(data: Path, work: Path, *, seq_lens: list[int], vocab_size: int) -> Corpus:
    found = texts.training(data)
    half = MAX_DOCUMENTS // len(found)
    generator = np.random.default_rng(0)
    documents = {
        lang: [found_texts[i] for i in generator.permutation(len(found_texts))[:half]]
        for lang, found_texts in found.items()
    }
    engine = open_engine("local", num_workers=1)
    section = {"vocab_size": vocab_size, "compare_gpt2": False}
    builders = {
        seq_len: prepared.open_builder(
            work / "corpus", documents, engine, tokenizer=section, packing={"seq_len": seq_len}
        )
        for seq_len in seq_lens
    }
    shards = {seq_len: prepared.shards(builder).path for seq_len, builder in builders.items()}
    tokenizer = prepared.tokenizer(builders[seq_lens[0]])
    engine.close()
    return Corpus(documents, tokenizer.path, shards)
