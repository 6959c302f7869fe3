"""What starts nothing: runs that lost their process are failures, and pages say what is older than what it is made from.

alive/ ──lost_runs──▶ FAILURE          keys ──say_stale──▶ check `is_up_to_date` of the corpus and of models

Dagster compares versions itself, but not for an asset of 100 partitions and more.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import orjson

from tonsai_pipeline.defs.alive import report_lost
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.missing import CORPUS_ASSETS, MODEL_ASSETS, why_stale
from tonsai_pipeline.pipeline import open_builder, view_of

_CHECK = "is_up_to_date"
#: What people take further: the others lead to them.
_WATCHED = (CORPUS_ASSETS[-1], *MODEL_ASSETS)
_INTERVAL_S = 60


def lost_runs(graph: Graph) -> dg.SensorDefinition:
    """Return the sensor that ends runs without a process; the one that is on from the beginning."""

    @dg.sensor(
        name=f"{graph.prefix}__lost_runs",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process was killed with its code server. Starts nothing; without it "
        "such a run keeps its place in the queue for ever.",
    )
    def _sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        lost = report_lost(graph.store.layout.alive, context.instance)
        return dg.SkipReason(f"lost: {', '.join(lost)}" if lost else "every run has its process")

    return _sensor


def say_stale(graph: Graph) -> dg.SensorDefinition:
    """Return the sensor that keeps the checks `is_up_to_date` true."""

    @dg.sensor(
        name=f"{graph.prefix}__say_stale",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Says on the pages of shards, model and report whether they are older than what they are made "
        "from (check is_up_to_date). Starts nothing.",
    )
    def _sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        said: dict[str, str] = orjson.loads(context.cursor or "{}")
        now = reasons(graph)
        return dg.SensorResult(
            asset_events=[
                dg.AssetCheckEvaluation(
                    asset_key=graph.key(asset),
                    check_name=_CHECK,
                    passed=not reason,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=reason or "made from the recipe and the dumps as they are",
                    metadata={},
                )
                for asset, reason in now.items()
                if said.get(asset) != reason
            ],
            skip_reason="; ".join(f"{a}: {why}" for a, why in now.items() if why)
            or "all is up to date",
            cursor=orjson.dumps(now).decode(),
        )

    return _sensor


def reasons(graph: Graph) -> dict[str, str]:
    """Return in what each watched asset lags behind; empty text if in nothing."""
    builder = _builder(graph)
    return {asset: why_stale(builder, asset) for asset in _WATCHED}


def _builder(graph: Graph) -> Builder:
    view = view_of(graph.find_dumps(reads=False))
    return open_builder(graph.recipe, graph.store, view)


def freshness_checks(graph: Graph) -> list[Any]:
    """Return the checks as a person runs them."""
    return [_check(graph, asset) for asset in _WATCHED]


def _check(graph: Graph, asset: str) -> Any:
    @dg.asset_check(
        asset=graph.key(asset),
        name=_CHECK,
        description="It was made from the recipe and the dumps as they are now; computed from keys at any number of dumps",
    )
    def _run() -> dg.AssetCheckResult:
        reason = why_stale(_builder(graph), asset)
        return dg.AssetCheckResult(
            passed=not reason,
            severity=dg.AssetCheckSeverity.WARN,
            description=reason or "made from the recipe and the dumps as they are",
        )

    return _run
