"""Small corpora for stage tests: texts by dump -> normalized_documents and minhash_signatures artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.dedup import SignatureConfig
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS
from tonsai_pipeline.stages.sign.stage import STAGE_VERSION, sign
from tonsai_pipeline.storage.documents import part_name, write_part
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.store import Artifact, Store


def normalized_dump(
    store: Store,
    dump: str,
    texts: Sequence[str],
    *,
    rows_per_part: int = 1000,
    rows_per_group: int = 300,
) -> Artifact:
    """Write texts as a dump's normalized_documents."""

    def make(folder: Path) -> dict[str, int]:
        starts = range(0, len(texts), rows_per_part)
        for chunk, start in enumerate(starts):
            stop = min(start + rows_per_part, len(texts))
            groups = [
                _table(dump, texts, first, min(first + rows_per_group, stop))
                for first in range(start, stop, rows_per_group)
            ]
            write_part(folder / part_name(0, chunk), groups, NORMALIZED_DOCUMENTS)
        if not texts:
            write_part(folder / part_name(0, 0), [], NORMALIZED_DOCUMENTS)
        return {"num_documents": len(texts)}

    settings = {"rows_per_part": rows_per_part, "rows_per_group": rows_per_group}
    inputs = {"texts": digest_json(list(texts))}
    return store.materialize(
        "normalized_documents", dump, make, stage_version="test", settings=settings, inputs=inputs
    )


def signed_dump(
    store: Store,
    dump: str,
    normalized: Artifact,
    engine: Engine,
    config: SignatureConfig | None = None,
) -> Artifact:
    """Sign a dump as the asset does."""
    config = config or SignatureConfig()
    return store.materialize(
        "minhash_signatures",
        dump,
        lambda folder: sign(normalized, folder, config=config, engine=engine),
        stage_version=STAGE_VERSION,
        settings=config.settings(),
        inputs={"normalized_documents": normalized.data_version},
    )


def signed_corpus(
    store: Store, texts: Mapping[str, Sequence[str]], engine: Engine, *, rows_per_part: int = 1000
) -> tuple[dict[str, Artifact], dict[str, Artifact]]:
    """Write and sign several dumps; return (signatures, normalized) by dump."""
    normalized = {
        dump: normalized_dump(store, dump, said, rows_per_part=rows_per_part)
        for dump, said in texts.items()
    }
    signatures = {dump: signed_dump(store, dump, normalized[dump], engine) for dump in texts}
    return signatures, normalized


def _table(dump: str, texts: Sequence[str], first: int, stop: int) -> pa.Table:
    said = list(texts[first:stop])
    num_docs = len(said)
    zeros = [0] * num_docs
    columns = {
        "doc_id": [f"{dump}/0/{row}" for row in range(first, stop)],
        "text": said,
        "source": [dump.split("@", maxsplit=1)[0]] * num_docs,
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
