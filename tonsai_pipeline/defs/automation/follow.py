"""ingested -> corpus -> model -> evaluation: a job is asked for when its assets are missing and what they read is there.

arrow ──why wait?──▶ SkipReason        └─nothing──▶ RunRequest of the missing assets, again until they are there
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.automation.asked import Asked, unfinished_runs
from tonsai_pipeline.defs.inbox import lacking
from tonsai_pipeline.defs.recipe_graph import Graph, catalog_key
from tonsai_pipeline.defs.stage_asset import Pages
from tonsai_pipeline.missing import CORPUS_ASSETS, MODEL_ASSETS, find_missing, growth_of
from tonsai_pipeline.pipeline import CATALOG, open_builder, view_of
from tonsai_pipeline.storage.files import digest_json

_INTERVAL_S = 30


@dataclass(frozen=True)
class Wanted:
    """What an arrow would ask for now.

    Args:
        assets: Assets that are missing; none if there is nothing to do.
        state: Names the state of the data in which they are missing.
        wait: Why not now; empty if now.
    """

    assets: Sequence[str] = ()
    state: str = ""
    wait: str = ""


Look = Callable[[dg.DagsterInstance], Wanted]


def follow_dumps(
    graph: Graph, pages: Pages, build_corpus: Any, ingest_dumps: dg.JobDefinition
) -> dg.SensorDefinition:
    """Return the sensor that builds the corpus when no dump is waiting."""

    def look(instance: dg.DagsterInstance) -> Wanted:
        if unfinished_runs(instance, ingest_dumps.name):
            return Wanted(wait="dumps are being ingested")
        catalog = graph.find_dumps(reads=False)
        waiting, growing, stopped = lacking(graph, pages, catalog, time.time())
        if unready := [*waiting, *growing]:
            return Wanted(
                wait=f"waits for {len(unready):,} dumps, {unready[0]} first; switch new_dumps on"
            )
        if stopped:
            key, reason = next(iter(stopped.items()))
            return Wanted(wait=f"{key} failed for good ({reason}), and on_bad_dump is 'stop'")
        return missing_corpus(graph)

    return _sensor(
        graph,
        build_corpus,
        "follow_dumps",
        look,
        "Ingested -> corpus. Builds the corpus, from the catalog to packed shards, when the dumps changed and none is "
        "waiting, growing or being ingested.",
    )


def retrain(graph: Graph, pretrain: Any) -> dg.SensorDefinition:
    """Return the sensor that trains when the corpus grew."""

    def look(instance: dg.DagsterInstance) -> Wanted:
        del instance
        least, growth = graph.recipe.automation.min_growth_frac, growth_of(graph.store)
        wanted = _missing_models(graph, MODEL_ASSETS[:1])
        if wanted.assets and growth is not None and growth < least:
            return Wanted(
                wait=f"the corpus grew by {growth:.1%} since the model was trained; automation.min_growth_frac is "
                f"{least:.1%}"
            )
        return wanted

    return _sensor(
        graph,
        pretrain,
        "retrain",
        look,
        "Corpus -> model. Trains when there is no model yet, or the packed tokens grew by the share that the recipe "
        "names (automation.min_growth_frac).",
    )


def follow_model(graph: Graph, pretrain: Any) -> dg.SensorDefinition:
    """Return the sensor that evaluates a new model."""

    def look(instance: dg.DagsterInstance) -> Wanted:
        del instance
        wanted = _missing_models(graph, MODEL_ASSETS)
        if MODEL_ASSETS[0] in wanted.assets:
            return Wanted(wait="waits for a model of the corpus as it is")
        return wanted

    return _sensor(
        graph, pretrain, "follow_model", look, "Model -> evaluation. Evaluates a model that is new."
    )


def weekly_corpus(graph: Graph, build_corpus: Any) -> dg.ScheduleDefinition:
    """Return the schedule that rebuilds the corpus where something is missing."""
    description = "Every Monday at 03:00: from the catalog to packed shards, if anything changed."
    return _schedule(
        graph,
        build_corpus,
        "weekly_corpus",
        "0 3 * * 1",
        lambda: missing_corpus(graph),
        description,
    )


def monthly_model(graph: Graph, pretrain: Any) -> dg.ScheduleDefinition:
    """Return the schedule that trains anew where the corpus is newer than the model, by however little."""
    description = "On the first of a month at 03:00: train and evaluate, if the corpus is newer than the model."
    return _schedule(
        graph,
        pretrain,
        "monthly_model",
        "0 3 1 * *",
        lambda: _missing_models(graph, MODEL_ASSETS),
        description,
    )


def missing_corpus(graph: Graph) -> Wanted:
    """Return the assets of the corpus that are not made for the dumps as they are; the catalog goes first."""
    catalog = graph.find_dumps()
    if not catalog.enabled:
        return Wanted(wait=f"no dump yet; put one into {graph.store.layout.inbox_place}")
    missing = find_missing(
        open_builder(graph.recipe, graph.store, view_of(catalog)), chosen=CORPUS_ASSETS
    )
    current = graph.current_catalog()
    key = catalog_key(catalog)
    is_listed = current is not None and current.manifest.fingerprint == key
    if not missing.corpus and is_listed:
        return Wanted()
    return Wanted((CATALOG, *missing.corpus), digest_json([key, missing.corpus]))


def _missing_models(graph: Graph, assets: Sequence[str]) -> Wanted:
    if graph.current_catalog() is None:
        return Wanted(wait="there is no corpus yet")
    reader = graph.reader()
    missing = find_missing(reader, chosen=[*CORPUS_ASSETS, *assets])
    if missing.corpus:
        return Wanted(wait=f"waits for the corpus: {', '.join(missing.corpus)}")
    state = {name: reader.key(name) for name in missing.models}
    return Wanted(missing.models, digest_json(state))


def _request(graph: Graph, wanted: Wanted) -> dg.RunRequest:
    return dg.RunRequest(asset_selection=[graph.key(name) for name in wanted.assets])


def _sensor(graph: Graph, job: Any, name: str, look: Look, description: str) -> dg.SensorDefinition:
    """Return a sensor that asks for a job until what it makes is there."""

    @dg.sensor(
        name=f"{graph.prefix}__{name}",
        job=job,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=description,
    )
    def _evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if unfinished_runs(context.instance, job.name):
            return dg.SensorResult(skip_reason=f"{job.name} is waiting or running")
        wanted = look(context.instance)
        if wanted.wait or not wanted.assets:
            return dg.SensorResult(skip_reason=wanted.wait or "nothing is missing")
        asked, now_s = Asked(context.cursor), time.time()
        missing = {job.name: wanted.state}
        if not asked.ready(missing, now_s):
            tired = ", too often: start it yourself" if asked.given_up() else ", not long ago"
            return dg.SensorResult(skip_reason=f"{job.name} was asked for{tired}")
        asked.ask(missing, missing, now_s)
        return dg.SensorResult(run_requests=[_request(graph, wanted)], cursor=asked.cursor)

    return _evaluate


def _schedule(
    graph: Graph, job: Any, name: str, cron: str, look: Callable[[], Wanted], description: str
) -> dg.ScheduleDefinition:
    """Return a schedule that asks for a job if what it makes is missing."""

    @dg.schedule(
        name=f"{graph.prefix}__{name}",
        job=job,
        cron_schedule=cron,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )
    def _evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        del context
        wanted = look()
        if wanted.wait or not wanted.assets:
            return dg.SkipReason(wanted.wait or "every asset is made for the recipe and its dumps")
        return _request(graph, wanted)

    return _evaluate
