"""Small corpora for stage tests: texts by dump -> normalized_documents and minhash_signatures artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Stage
from tonsai_pipeline.recipe.dedup import SignatureConfig
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.sign.stage import STAGE as SIGN
from tonsai_pipeline.storage.documents import part_name, write_part
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.stages.harness import InventedDump, Workshop, invented


def normalized_stage(rows_per_part: int = 1000, rows_per_group: int = 300) -> Stage:
    """Return the stage that writes a dump's texts as its normalized_documents."""

    def write(dump: InventedDump, folder: Path) -> dict[str, int]:
        texts: Sequence[str] = dump.content
        starts = range(0, len(texts), rows_per_part)
        for chunk, start in enumerate(starts):
            stop = min(start + rows_per_part, len(texts))
            groups = [
                _table(dump.key, texts, first, min(first + rows_per_group, stop))
                for first in range(start, stop, rows_per_group)
            ]
            write_part(folder / part_name(0, chunk), groups, NORMALIZED_DOCUMENTS)
        if not texts:
            write_part(folder / part_name(0, 0), [], NORMALIZED_DOCUMENTS)
        return {"num_documents": len(texts)}

    return invented("normalized_documents", write, f"test {rows_per_part} {rows_per_group}")


def normalized_dump(
    store: Store, dump: str, texts: Sequence[str], engine: Engine, **parts: int
) -> Artifact:
    """Write texts as a dump's normalized_documents."""
    workshop = Workshop(store, engine, (normalized_stage(**parts),))
    return workshop.builder({dump: list(texts)}).build("normalized_documents", DumpKey(dump))


def signed_dump(
    store: Store,
    dump: str,
    texts: Sequence[str],
    engine: Engine,
    config: SignatureConfig | None = None,
    **parts: int,
) -> Artifact:
    """Write and sign a dump."""
    workshop = Workshop(store, engine, (normalized_stage(**parts), SIGN))
    dedup: dict[str, Any] = {"signatures": config or SignatureConfig()}
    return workshop.builder({dump: list(texts)}, dedup=dedup).build(
        "minhash_signatures", DumpKey(dump)
    )


def signed_corpus(
    store: Store, texts: Mapping[str, Sequence[str]], engine: Engine, *, rows_per_part: int = 1000
) -> tuple[dict[DumpKey, Artifact], dict[DumpKey, Artifact]]:
    """Write and sign several dumps; return (signatures, normalized) by dump."""
    workshop = Workshop(store, engine, (normalized_stage(rows_per_part), SIGN))
    builder = workshop.builder({dump: list(said) for dump, said in texts.items()})
    keys = [DumpKey(dump) for dump in texts]
    return (
        {key: builder.build("minhash_signatures", key) for key in keys},
        {key: builder.build("normalized_documents", key) for key in keys},
    )


def _table(dump: DumpKey, texts: Sequence[str], first: int, stop: int) -> pa.Table:
    said = list(texts[first:stop])
    num_docs = len(said)
    zeros = [0] * num_docs
    columns = {
        "doc_id": [f"{dump}/0/{row}" for row in range(first, stop)],
        "text": said,
        "source": [dump.source] * num_docs,
        "dump": [dump] * num_docs,
        "url": [None] * num_docs,
        "title": [None] * num_docs,
        "meta": [None] * num_docs,
        "lang": ["eng"] * num_docs,
        "khmer_frac": [0.0] * num_docs,
        "num_bytes": [len(text.encode()) for text in said],
        "num_clusters": zeros,
        "num_repairs": zeros,
        "num_zwsp": zeros,
        "num_orphan_marks": zeros,
        "num_invalid_clusters": zeros,
    }
    return pa.table(columns, schema=NORMALIZED_DOCUMENTS)
