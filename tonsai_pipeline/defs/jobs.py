"""Named walks through the graph of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.dump_runs import dumps_op
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.stage_asset import Pages
from tonsai_pipeline.missing import (
    CORPUS_ASSETS,
    DUMP_ASSETS,
    INSTRUCTION_ASSETS,
    MODEL_ASSETS,
    RELEASE_ASSETS,
)

#: Sensors ask again themselves, and know what is missing; see `automation`.
_ASKED_AGAIN_BY_SENSOR = {"dagster/max_retries": "0"}


def ingest_dump(graph: Graph) -> Any:
    """One dump, as a partition."""
    return dg.define_asset_job(
        f"{graph.prefix}__ingest_dump",
        selection=dg.AssetSelection.assets(*map(graph.key, DUMP_ASSETS)),
        partitions_def=graph.dumps,
        description="One dump: from its files to MinHash signatures.",
    )


def ingest_dumps(graph: Graph, pages: Pages) -> dg.JobDefinition:
    """Many dumps in one run."""
    op = dumps_op(graph, pages)

    @dg.job(
        name=f"{graph.prefix}__ingest_dumps",
        description="Every dump that lacks something, or those named in the launch form, in one run: from files to "
        "MinHash signatures.",
        executor_def=dg.in_process_executor,
        tags=_ASKED_AGAIN_BY_SENSOR,
    )
    def _job() -> None:
        op()

    return _job


def build_corpus(graph: Graph) -> Any:
    """All dumps."""
    return _asset_job(
        graph,
        "build_corpus",
        CORPUS_ASSETS,
        "From the catalog to packed shards; dumps that are new, or were made with other settings, are made on the way. "
        "Unchanged work is a cache hit.",
    )


def pretrain(graph: Graph) -> Any:
    """The model."""
    return _asset_job(
        graph,
        "pretrain",
        MODEL_ASSETS,
        "Train on the shards and evaluate. Goes on from the newest checkpoint of the same work.",
    )


def everything(graph: Graph) -> Any:
    """The whole graph in one click."""
    return _asset_job(
        graph,
        "everything",
        (*CORPUS_ASSETS, *MODEL_ASSETS),
        "From the files in the inbox to the evaluation report: what one click on an empty instance should run. Dumps "
        "are made on the way, unchanged work is a cache hit. Before the first run Dagster asks whether you are sure, "
        "because no dump is in yet: confirm.",
    )


def tune(graph: Graph) -> Any:
    """The model that answers."""
    return _asset_job(
        graph,
        "tune",
        INSTRUCTION_ASSETS,
        "Instruction data to a tuned model and its report. Goes on from the newest checkpoint of the same work.",
    )


def publish(graph: Graph) -> Any:
    """The model, for others."""
    return _asset_job(
        graph,
        "publish",
        RELEASE_ASSETS,
        "The finished model as others would get it, and the gate; given to them only where the recipe names publish.target.",
    )


def _asset_job(graph: Graph, name: str, assets: Sequence[str], description: str) -> Any:
    return dg.define_asset_job(
        f"{graph.prefix}__{name}",
        selection=dg.AssetSelection.assets(*map(graph.key, assets)),
        description=description,
    )
