"""Corpora full of duplicates, the rule applied to them the slow way, and a house to run the stages in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.lsh import band_keys
from tonsai_pipeline.dedup.minhash import sign_keys
from tonsai_pipeline.dedup.shingles import shingle
from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.decontaminate.stage import STAGES as DECONTAMINATE
from tonsai_pipeline.stages.deduplicate.stage import STAGES as DEDUPLICATE
from tonsai_pipeline.stages.drop_boilerplate.stage import STAGES as BOILERPLATE
from tonsai_pipeline.stages.sign.stage import STAGE as SIGN
from tonsai_pipeline.stages.sign.stage import scheme_of
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text.dedup_key import dedup_key
from tonsai_pipeline_tests.stages.corpora import normalized_stage
from tonsai_pipeline_tests.stages.harness import Made, Workshop

Texts = Mapping[str, Sequence[str]]


def corpus(seed: int, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Write dumps full of exact copies, light edits, chains of edits and unrelated documents."""
    rng = np.random.default_rng(seed)
    written: list[str] = []
    dumps: dict[str, list[str]] = {}
    for dump, size in sizes.items():
        texts = []
        for _ in range(size):
            texts.append(_document(rng, written))
            written.append(texts[-1])
        dumps[dump] = texts
    return dumps


def _document(rng: np.random.Generator, written: list[str]) -> str:
    kind = rng.random()
    if not written or kind < 0.35:
        words = [f"w{number}" for number in rng.integers(0, 5000, rng.integers(3, 120))]
        return " ".join(words)
    origin = written[int(rng.integers(max(0, len(written) - 60), len(written)))]
    if kind < 0.5:
        return origin.upper() + " ..."
    words = origin.split()
    for place in rng.integers(0, len(words), 1 + len(words) // 60):
        words[place] = f"edit{rng.integers(0, 1000)}"
    return " ".join(words)


def by_the_rule(texts: Texts, config: DedupConfig) -> dict[str, list[int]]:
    """Return the rows that stay in each dump: every earlier kept candidate is compared."""
    scheme = scheme_of(config.signatures)
    flat = [dedup_key(text) for dump in texts.values() for text in dump]
    keys = pa.array(flat, pa.large_string())
    sets = shingle(keys)
    shingles = [set(sets.of(doc).tolist()) for doc in range(len(flat))]
    values = sign_keys(keys, scheme, scheme.permutations()).values
    bands = band_keys(values, num_bands=config.num_bands, rows_per_band=config.rows_per_band)
    kept: list[int] = []
    for doc in range(len(flat)):
        old = np.array(kept, np.int64)
        candidates = old[(bands[old] == bands[doc]).any(axis=1)] if kept and shingles[doc] else []
        is_copy = any(flat[other] == flat[doc] for other in kept)
        if not is_copy and not any(
            jaccard(shingles[other], shingles[doc]) >= config.min_similarity for other in candidates
        ):
            kept.append(doc)
    stays, start = {}, 0
    for dump, said in texts.items():
        stays[dump] = [doc - start for doc in kept if start <= doc < start + len(said)]
        start += len(said)
    return stays


def jaccard(left: set[int], right: set[int]) -> float:
    """Return the Jaccard similarity of two sets."""
    return len(left & right) / len(left | right)


class House:
    """Deduplication and the second pass behind invented documents."""

    def __init__(self, root: Path, num_workers: int = 1, engine: Engine | None = None) -> None:
        self.store = Store(Layout(root, "test"))
        self.engine = engine or open_engine("local", num_workers=num_workers)

    def builder(
        self, texts: Texts, config: DedupConfig | None = None, *, rows_per_part: int = 1000
    ) -> Builder:
        """Return the builder over the texts."""
        stages = (normalized_stage(rows_per_part), SIGN, *DECONTAMINATE, *DEDUPLICATE, *BOILERPLATE)
        workshop = Workshop(self.store, self.engine, stages)
        contents = {dump: list(said) for dump, said in texts.items()}
        return workshop.builder(contents, dedup=config or DedupConfig())

    def deduplicate(
        self, texts: Texts, config: DedupConfig | None = None, *, rows_per_part: int = 1000
    ) -> Deduplicated:
        builder = self.builder(texts, config, rows_per_part=rows_per_part)
        return Deduplicated(builder, builder.build("deduplicated_documents"))


class Deduplicated(Made):
    """A deduplicated corpus, and what belongs to it."""

    def decisions(self) -> dict[DumpKey, Artifact]:
        """What deduplication decided, by dump."""
        return self.dumps("dedup_decisions")

    def links(self) -> dict[DumpKey, Artifact]:
        """The final keep-lists, by dump."""
        return self.dumps("kept_documents_of_dump")

    def boilerplate(self) -> Mapping[str, Any]:
        """The report of the second pass."""
        return self.builder.build("kept_documents").report

    def contaminated(self) -> dict[DumpKey, Artifact]:
        """Contaminated documents, by dump."""
        return self.dumps("contaminated_documents")

    def kept(self, rows_per_part: int = 1000) -> dict[str, list[int]]:
        """Return the rows that stay, numbered through each dump."""
        return {
            dump: [
                number * rows_per_part + row
                for number, path in enumerate(link.parts())
                for row in read_part(path, ["row_in_part"]).column(0).to_pylist()
            ]
            for dump, link in self.links().items()
        }

    def dropped(self) -> list[dict]:
        return [
            row
            for link in self.links().values()
            for path in link.parts("dropped")
            for row in read_part(path).to_pylist()
        ]
