"""What runs by itself, once a person switches it on: new dumps are ingested, the corpus is rebuilt weekly.

inbox ──new_dump_sensor──▶ partition + observation + one ingest run a dump        (every 30 s)
Monday, 03:00 ──weekly_corpus──▶ build_corpus; unchanged work is a cache hit
"""

import time

import dagster as dg
import orjson

from tonsai_pipeline.defs.jobs import BUILD_CORPUS, INGEST_DUMP
from tonsai_pipeline.defs.partitions import DUMPS
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.catalog import inbox_stamps

#: A file younger than this may still be being written.
SETTLE_S = 20.0
_INTERVAL_S = 30


def new_dump_sensor(recipe: Recipe, workspace: Workspace) -> dg.SensorDefinition:
    """Build the sensor that watches the inbox of a recipe."""

    @dg.sensor(
        name="new_dump_sensor",
        job=INGEST_DUMP,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Looks for new or changed dumps in the inbox, registers them and ingests each in a run of its "
        "own. Files younger than 20 s are left to be finished first.",
    )
    def _sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        layout = workspace.store(recipe).layout
        seen: dict[str, str] = orjson.loads(context.cursor or "{}")
        found = inbox_stamps(recipe, layout, settled_before=time.time() - SETTLE_S)
        changed = sorted(key for key, stamp in found.items() if seen.get(key) != stamp)
        if not changed:
            return dg.SkipReason(f"nothing new in {layout.inbox}")
        known = set(context.instance.get_dynamic_partitions(str(DUMPS.name)))
        return dg.SensorResult(
            dynamic_partitions_requests=[
                DUMPS.build_add_request([key for key in changed if key not in known])
            ],
            asset_events=[
                dg.AssetObservation(
                    "raw_dumps", partition=key, tags={"dagster/data_version": found[key]}
                )
                for key in changed
            ],
            run_requests=[
                dg.RunRequest(partition_key=key, run_key=f"{recipe.name}/{key}/{found[key]}")
                for key in changed
            ],
            cursor=orjson.dumps({**seen, **found}).decode(),
        )

    return _sensor


def weekly_corpus_schedule() -> dg.ScheduleDefinition:
    """Build the schedule that rebuilds the corpus."""
    return dg.ScheduleDefinition(
        name="weekly_corpus",
        job=BUILD_CORPUS,
        cron_schedule="0 3 * * 1",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every Monday at 03:00: from the catalog to packed shards. Unchanged work is a cache hit.",
    )
