"""Named walks through the graph of a recipe."""

from __future__ import annotations

import dagster as dg

from tonsai_pipeline.defs.stage_asset import Graph
from tonsai_pipeline.pipeline import CATALOG, PIPELINE

DUMP_ASSETS = tuple(stage.name for stage in PIPELINE.assets() if stage.each_dump)
"""Made once a dump."""

INSTRUCTION_ASSETS = tuple(s.name for s in PIPELINE.assets() if s.of_recipe is not None)
"""Made where a recipe has instruction data."""

MODEL_ASSETS = tuple(s.name for s in PIPELINE.assets() if s.launched and s.of_recipe is None)
"""Made by processes that the assets launch."""

CORPUS_ASSETS = (
    CATALOG,
    *(
        s.name
        for s in PIPELINE.assets()
        if not s.each_dump and not s.launched and s.of_recipe is None
    ),
)
"""Made from all dumps together; each keeps what it already knows of every dump."""


def ingest_dump(graph: Graph) -> dg.UnresolvedAssetJobDefinition:  # pyright: ignore[reportAttributeAccessIssue]
    """One dump."""
    return dg.define_asset_job(
        f"{graph.prefix}__ingest_dump",
        selection=dg.AssetSelection.assets(*map(graph.key, DUMP_ASSETS)),
        partitions_def=graph.dumps,
        description="One dump: from its files to MinHash signatures.",
    )


def build_corpus(graph: Graph) -> dg.UnresolvedAssetJobDefinition:  # pyright: ignore[reportAttributeAccessIssue]
    """All dumps."""
    return dg.define_asset_job(
        f"{graph.prefix}__build_corpus",
        selection=dg.AssetSelection.assets(*map(graph.key, CORPUS_ASSETS)),
        description="From the catalog to packed shards; dumps that are new, or were made with other settings, are "
        "made on the way. Unchanged work is a cache hit.",
    )


def pretrain(graph: Graph) -> dg.UnresolvedAssetJobDefinition:  # pyright: ignore[reportAttributeAccessIssue]
    """The model."""
    return dg.define_asset_job(
        f"{graph.prefix}__pretrain",
        selection=dg.AssetSelection.assets(*map(graph.key, MODEL_ASSETS)),
        description="Train on the shards and evaluate. Goes on from the newest checkpoint of the same work.",
    )


def tune(graph: Graph) -> dg.UnresolvedAssetJobDefinition:  # pyright: ignore[reportAttributeAccessIssue]
    """The model that answers."""
    return dg.define_asset_job(
        f"{graph.prefix}__tune",
        selection=dg.AssetSelection.assets(*map(graph.key, INSTRUCTION_ASSETS)),
        description="Instruction data to a tuned model and its report. Goes on from the newest checkpoint of the same work.",
    )
