"""What runs by itself, once a person switches it on: new dumps are ingested, the corpus is rebuilt weekly.

inbox ──new_dump_sensor──▶ partition + observation + one ingest run a dump        (every 30 s)
Monday, 03:00 ──weekly_corpus──▶ build_corpus, if anything is missing for the recipe and its dumps
"""

import time
from typing import Any

import dagster as dg
import orjson

from tonsai_pipeline.catalog.catalog import inbox_stamps
from tonsai_pipeline.defs.jobs import CORPUS_ASSETS
from tonsai_pipeline.defs.stage_asset import Graph

#: A file younger than this may still be being written.
SETTLE_S = 20.0
_INTERVAL_S = 30


def new_dump_sensor(graph: Graph, ingest_dump: Any) -> dg.SensorDefinition:
    """Return the sensor that watches the inbox of a recipe."""

    @dg.sensor(
        name=f"{graph.prefix}__new_dumps",
        job=ingest_dump,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Looks for new or changed dumps in the inbox, registers them and ingests each in a run of its "
        "own. Files younger than 20 s are left to be finished first.",
    )
    def _sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        layout = graph.store.layout
        seen: dict[str, str] = orjson.loads(context.cursor or "{}")
        found = inbox_stamps(graph.recipe, layout, settled_before=time.time() - SETTLE_S)
        changed = sorted(key for key, stamp in found.items() if seen.get(key) != stamp)
        if not changed:
            return dg.SkipReason(f"nothing new in {layout.inbox}")
        known = set(context.instance.get_dynamic_partitions(str(graph.dumps.name)))
        return dg.SensorResult(
            dynamic_partitions_requests=[
                graph.dumps.build_add_request([key for key in changed if key not in known])
            ],
            asset_events=[
                dg.AssetObservation(
                    graph.key("raw_dumps"),
                    partition=key,
                    tags={"dagster/data_version": found[key]},
                )
                for key in changed
            ],
            run_requests=[
                dg.RunRequest(partition_key=key, run_key=f"{graph.recipe.name}/{key}/{found[key]}")
                for key in changed
            ],
            cursor=orjson.dumps({**seen, **found}).decode(),
        )

    return _sensor


def weekly_corpus_schedule(graph: Graph, build_corpus: Any) -> dg.ScheduleDefinition:
    """Return the schedule that rebuilds the corpus where something is missing."""

    @dg.schedule(
        name=f"{graph.prefix}__weekly_corpus",
        job=build_corpus,
        cron_schedule="0 3 * * 1",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every Monday at 03:00: from the catalog to packed shards, if anything changed.",
    )
    def _schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        del context
        builder = graph.reader(of_catalog=False)
        missing = [name for name in CORPUS_ASSETS[1:] if builder.find(name) is None]
        if not missing:
            return dg.SkipReason("every asset is made for the recipe and the dumps as they are")
        return dg.RunRequest()

    return _schedule
