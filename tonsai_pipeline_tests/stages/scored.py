"""Small corpora for the tests of scoring and mixing: normalized dumps with keep-lists, and scored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.schema import DUPLICATE_GROUPS, KEPT_DOCUMENTS, NORMALIZED_DOCUMENTS
from tonsai_pipeline.stages.score import STAGE_VERSION, score
from tonsai_pipeline.storage.documents import part_name, read_part, write_part
from tonsai_pipeline.storage.files import digest_json, write_json
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import count_clusters_batch, languages_batch
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu, tagged_titles


class Corpus(NamedTuple):
    """Dumps with keep-lists.

    Args:
        normalized: By dump.
        deduplicated: The keep-lists.
        sources: A source for each dump's name.
    """

    normalized: dict[str, Artifact]
    deduplicated: Artifact
    sources: list[Source]


def small_corpus(store: Store, num_docs: int = 60) -> Corpus:
    """Prose and junk in both languages."""
    texts = {
        "khm_news@20240101": [khmer_prose(12, seed) for seed in range(num_docs)],
        "khm_web@20240101": [khmer_prose(9, 1000 + seed) for seed in range(num_docs)],
        "khm_menus@20240101": [menu(seed, 9) for seed in range(num_docs)],
        "eng_news@20240101": [english_prose(12, seed) for seed in range(num_docs)],
        "eng_titles@20240101": [tagged_titles(seed) for seed in range(num_docs)],
    }
    return build_corpus(store, texts)


def build_corpus(
    store: Store,
    texts: Mapping[str, Sequence[str]],
    *,
    rows_per_part: int = 25,
    every_nth_dropped: int = 7,
    weights: Mapping[str, float] | None = None,
) -> Corpus:
    """Write dumps `<lang>_<name>@<date>` and keep-lists that leave out every n-th document."""
    normalized = {
        dump: _materialize(store, "normalized_documents", dump, said, rows_per_part)
        for dump, said in texts.items()
    }
    keep = {
        dump: store.materialize(
            "deduplicated_documents.keep",
            dump,
            lambda folder, dump=dump: _keep(normalized[dump], folder, every_nth_dropped),
            stage_version="test",
            settings={"dropped": every_nth_dropped},
            inputs={"normalized": normalized[dump].data_version},
        )
        for dump in texts
    }

    def catalog(folder: Path) -> dict[str, int]:
        write_json(
            folder / "dumps.json",
            {dump: {"path": store.relative(found)} for dump, found in keep.items()},
        )
        groups = [_groups(dump, path) for dump, found in keep.items() for path in found.parts()]
        write_part(folder / "groups.parquet", groups, DUPLICATE_GROUPS)
        return {}

    deduplicated = store.materialize(
        "deduplicated_documents",
        None,
        catalog,
        stage_version="test",
        settings={},
        inputs={dump: found.data_version for dump, found in keep.items()},
    )
    names = dict.fromkeys(dump.split("@", maxsplit=1)[0] for dump in texts)
    wanted = weights or {}
    sources = [
        Source.model_validate({"name": name, "lang": name[:3], "weight": wanted.get(name, 1.0)})
        for name in names
    ]
    return Corpus(normalized, deduplicated, sources)


def score_corpus(
    corpus: Corpus, store: Store, engine: Engine, config: QualityConfig | None = None
) -> Artifact:
    """Score a corpus as the asset does."""
    config = config or QualityConfig()
    return store.materialize(
        "scored_documents",
        None,
        lambda folder: score(
            corpus.normalized,
            corpus.deduplicated,
            folder,
            sources=corpus.sources,
            config=config,
            engine=engine,
            store=store,
        ),
        stage_version=STAGE_VERSION,
        settings=config.settings(),
        inputs={
            "deduplicated_documents": corpus.deduplicated.data_version,
            **{dump: found.data_version for dump, found in corpus.normalized.items()},
        },
    )


def _materialize(
    store: Store, asset: str, dump: str, texts: Sequence[str], rows_per_part: int
) -> Artifact:
    def make(folder: Path) -> dict[str, int]:
        for chunk, start in enumerate(range(0, max(1, len(texts)), rows_per_part)):
            said = list(texts[start : start + rows_per_part])
            step = max(10, rows_per_part // 4)
            groups = [
                _table(dump, said[i : i + step], start + i) for i in range(0, len(said), step)
            ]
            write_part(folder / part_name(0, chunk), groups, NORMALIZED_DOCUMENTS)
        return {"num_documents": len(texts)}

    return store.materialize(
        asset,
        dump,
        make,
        stage_version="test",
        settings={"rows_per_part": rows_per_part},
        inputs={"texts": digest_json(list(texts))},
    )


def _table(dump: str, texts: list[str], first: int) -> pa.Table:
    said = pa.array(texts, pa.large_string())
    size = len(texts)
    zeros = [0] * size
    columns = {
        "doc_id": [f"{dump}/0/{first + row}" for row in range(size)],
        "text": said,
        "source": [dump.split("@", maxsplit=1)[0]] * size,
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
