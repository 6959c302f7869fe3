"""Real text -> a tokenizer and packed rows made by the product's own stages, and the documents they were made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from benchmarks.tokenize_pack.tokenizers import count
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.stages.pack.stage import pack
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

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
    store = Store(Layout(work, "train"))
    mixture, normalized = prepared.build(store, documents, 1)
    held_out = {lang: found_texts[:50] for lang, found_texts in texts.parallel(data).items()}
    tokenizer = prepared.tokenizer(store, count(documents), held_out, vocab_size)
    engine = open_engine("local", num_workers=1)
    shards = {}
    for seq_len in seq_lens:
        folder = work / f"shards-{seq_len}"
        folder.mkdir(parents=True)
        config = PackingConfig(seq_len=seq_len)
        pack(mixture, normalized, tokenizer, folder, config=config, engine=engine, store=store)
        shards[seq_len] = folder
    engine.close()
    return Corpus(documents, tokenizer.path, shards)
