"""Small corpora for the tests of scoring and mixing: normalized dumps with keep-lists, and scored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder, Stage, every_dump, same_dump
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.schema import DUPLICATE_GROUPS, KEPT_DOCUMENTS, NORMALIZED_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.compare_splits.stage import STAGE as COMPARE
from tonsai_pipeline.stages.mix.stage import STAGES as MIX
from tonsai_pipeline.stages.score.stage import STAGES as SCORE
from tonsai_pipeline.stages.sign.stage import STAGE as SIGN
from tonsai_pipeline.stages.train_classifiers.stage import STAGE as CLASSIFY
from tonsai_pipeline.storage.documents import part_name, read_part, write_part
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import count_clusters_batch, languages_batch
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu, tagged_titles
from tonsai_pipeline_tests.stages.harness import InventedDump, Made, Workshop, invented


class Corpus(NamedTuple):
    """Texts by dump `<lang>_<name>@<date>`, and how their keep-lists are made.

    Args:
        texts: By dump.
        rows_per_part: Documents a part.
        every_nth_dropped: Which documents the keep-lists leave out; 0 for none.
        weights: Weights of sources, 1 where they are not named.
    """

    texts: Mapping[str, Sequence[str]]
    rows_per_part: int = 25
    every_nth_dropped: int = 7
    weights: Mapping[str, float] | None = None


def small_corpus(num_docs: int = 60) -> Corpus:
    """Prose and junk in both languages."""
    return Corpus(
        {
            "khm_news@20240101": [khmer_prose(12, seed) for seed in range(num_docs)],
            "khm_web@20240101": [khmer_prose(9, 1000 + seed) for seed in range(num_docs)],
            "khm_menus@20240101": [menu(seed, 9) for seed in range(num_docs)],
            "eng_news@20240101": [english_prose(12, seed) for seed in range(num_docs)],
            "eng_titles@20240101": [tagged_titles(seed) for seed in range(num_docs)],
        }
    )


def build(
    corpus: Corpus, store: Store, engine: Engine, last: str = "scored_documents", **sections: Any
) -> Made:
    """Make the assets of a corpus up to `last`, as a run does."""
    builder = builder_of(corpus, store, engine, **sections)
    for name in ("quality_classifiers", "scored_documents", "training_mixture"):
        artifact = builder.build(name)
        if name == last:
            return Made(builder, artifact)
    return Made(builder, builder.build(last))


def builder_of(corpus: Corpus, store: Store, engine: Engine, **sections: Any) -> Builder:
    """Return the builder of a corpus, nothing made yet."""
    workshop = Workshop(store, engine, _stages(corpus))
    contents = {dump: list(said) for dump, said in corpus.texts.items()}
    return workshop.builder(contents, weights=corpus.weights, **sections)


def score_corpus(
    corpus: Corpus, store: Store, engine: Engine, config: QualityConfig | None = None
) -> Made:
    """Score a corpus."""
    return build(corpus, store, engine, quality=config or QualityConfig())


def _stages(corpus: Corpus) -> tuple[Stage, ...]:
    def write(dump: InventedDump, folder: Path) -> dict[str, int]:
        texts, rows_per_part = dump.content, corpus.rows_per_part
        for chunk, start in enumerate(range(0, max(1, len(texts)), rows_per_part)):
            said = list(texts[start : start + rows_per_part])
            step = max(10, rows_per_part // 4)
            groups = [
                _table(dump.key, said[i : i + step], start + i) for i in range(0, len(said), step)
            ]
            write_part(folder / part_name(0, chunk), groups, NORMALIZED_DOCUMENTS)
        return {"num_documents": len(texts)}

    def keep(normalized: Artifact, folder: Path, *, engine: Engine) -> dict[str, int]:
        del engine
        return _keep(normalized, folder, corpus.every_nth_dropped)

    def groups(kept: Mapping[DumpKey, Artifact], folder: Path, *, engine: Engine) -> dict[str, int]:
        del engine
        tables = [_groups(dump, path) for dump, found in kept.items() for path in found.parts()]
        write_part(folder / "groups.parquet", tables, DUPLICATE_GROUPS)
        return {}

    version = f"test {corpus.rows_per_part} {corpus.every_nth_dropped}"
    kept = "kept_documents_of_dump"
    return (
        invented("normalized_documents", write, version),
        SIGN,
        Stage(kept, version, keep, {}, {"normalized": same_dump("normalized_documents")}, True),
        Stage(
            "deduplicated_documents",
            version,
            groups,
            reads={"kept": every_dump(kept)},
            part_of="invented",
        ),
        CLASSIFY,
        *SCORE,
        *MIX,
        COMPARE,
    )


def _table(dump: DumpKey, texts: list[str], first: int) -> pa.Table:
    said = pa.array(texts, pa.large_string())
    size = len(texts)
    zeros = [0] * size
    columns = {
        "doc_id": [f"{dump}/0/{first + row}" for row in range(size)],
        "text": said,
        "source": [dump.source] * size,
        "dump": [dump] * size,
        "url": [None] * size,
        "title": [None] * size,
        "meta": [None] * size,
        "lang": languages_batch(said),
        "khmer_frac": [0.0] * size,
        "num_bytes": [len(text.encode()) for text in texts],
        "num_clusters": count_clusters_batch(said).cast(pa.int32()),
        "num_repairs": zeros,
        "num_zwsp": zeros,
        "num_orphan_marks": zeros,
        "num_invalid_clusters": zeros,
    }
    return pa.table(columns, schema=NORMALIZED_DOCUMENTS)


def _groups(dump: str, path: Path) -> pa.Table:
    """Give every kept document one copy more in the corpus than in its own dump; those with none there stay alone."""
    kept = read_part(path).filter(pc.greater(pc.field("group_size"), 1))
    size = kept.num_rows
    columns = {
        "dump": [dump] * size,
        "part": [path.name] * size,
        "row_in_part": kept.column("row_in_part"),
        "doc_id": kept.column("doc_id"),
        "group_size": pc.add(kept.column("group_size"), 1).cast(pa.int32()),
        "num_dumps": [2] * size,
    }
    return pa.table(columns, schema=DUPLICATE_GROUPS)


def _keep(normalized: Artifact, folder: Path, dropped: int) -> dict[str, int]:
    for path in normalized.parts():
        ids = read_part(path, ["doc_id"]).column("doc_id")
        rows = [row for row in range(len(ids)) if not dropped or row % dropped != dropped - 1]
        table = pa.table(
            {
                "doc_id": ids.take(pa.array(rows, pa.int64())),
                "row_in_part": pa.array(rows, pa.int32()),
                "group_size": pa.array([1 + row % 6 for row in rows], pa.int32()),
            }
        )
        write_part(folder / path.name, [table], KEPT_DOCUMENTS)
    return {}
