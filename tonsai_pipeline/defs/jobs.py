"""Named walks through the graph."""

from __future__ import annotations

import dagster as dg

from tonsai_pipeline.defs.partitions import DUMPS

DUMP_ASSETS = ("raw_documents", "normalized_documents", "minhash_signatures")
"""Made once a dump."""

CORPUS_ASSETS = (
    "dump_catalog",
    "deduplicated_documents",
    "scored_documents",
    "training_mixture",
    "tokenizer",
    "packed_shards",
)
"""Made from all dumps together; each keeps what it already knows of every dump."""

MODEL_ASSETS = ("pretrained_model", "evaluation_report")
"""Made by processes that the assets launch."""

INGEST_DUMP = dg.define_asset_job(
    "ingest_dump",
    selection=dg.AssetSelection.assets(*DUMP_ASSETS),
    partitions_def=DUMPS,
    description="One dump: from its files to MinHash signatures.",
)

BUILD_CORPUS = dg.define_asset_job(
    "build_corpus",
    selection=dg.AssetSelection.assets(*CORPUS_ASSETS),
    description="From the signatures of all dumps to packed shards. Unchanged work is a cache hit.",
)

PRETRAIN = dg.define_asset_job(
    "pretrain",
    selection=dg.AssetSelection.assets(*MODEL_ASSETS),
    description="Train on the current shards and evaluate. Goes on from the newest checkpoint of the same work.",
)
