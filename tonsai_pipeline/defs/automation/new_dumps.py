"""dump -> ingested: whatever way it came, new, replaced, put back or made with other settings.

inbox, recipe paths, `tonsai dumps add`, Hub revisions ──keys──▶ dumps that lack something ──▶ runs of many dumps
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import dagster as dg

from tonsai_pipeline.catalog.catalog import Catalog
from tonsai_pipeline.defs.automation.asked import Asked, unfinished_runs
from tonsai_pipeline.defs.inbox import lacking, observe_inbox
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.stage_asset import Pages

#: A run costs some seconds, a lost one the dump it was at.
_DUMPS_PER_RUN = 50
_INTERVAL_S = 30


def new_dumps(graph: Graph, pages: Pages, ingest_dumps: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that ingests what is new."""

    @dg.sensor(
        name=f"{graph.prefix}__new_dumps",
        job=ingest_dumps,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Dump -> ingested. Looks at the inbox, the paths and Hub data sets of the recipe and at what "
        "`tonsai dumps add` named, and ingests what is new, changed or put back, many dumps a run. Files younger than "
        "20 s are left to be finished first; a dump that fails three times is set aside.",
    )
    def _sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now_s = time.time()
        catalog = graph.find_dumps(reads=False)
        waiting, growing, _ = lacking(graph, pages, catalog, now_s)
        asked = Asked(context.cursor)
        running = set(_dumps_of(unfinished_runs(context.instance, ingest_dumps.name)))
        ready = [key for key in asked.ready(waiting, now_s) if key not in running]
        asked.ask(ready, waiting, now_s)
        observed = observe_inbox(graph, catalog, waiting, growing)
        op = f"{graph.prefix}__dumps"
        return dg.SensorResult(
            dynamic_partitions_requests=_partitions(graph, catalog, context.instance),
            run_requests=[
                dg.RunRequest(
                    run_config={
                        "ops": {op: {"config": {"dumps": ready[start : start + _DUMPS_PER_RUN]}}}
                    }
                )
                for start in range(0, len(ready), _DUMPS_PER_RUN)
            ],
            asset_events=[observed] if ready else [],
            skip_reason=None if ready else _say(waiting, growing, running, asked),
            cursor=asked.cursor,
        )

    return _sensor


def _partitions(
    graph: Graph, catalog: Catalog, instance: dg.DagsterInstance
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """Ask for the partitions that are missing, and for those to go whose dump is gone or switched off."""
    known = set(instance.get_dynamic_partitions(str(graph.dumps.name)))
    there = [dump.key for dump in catalog.dumps if dump.is_on]
    new = [key for key in there if key not in known]
    gone = sorted(known - set(there))
    requests = []
    if new:
        requests.append(graph.dumps.build_add_request(new))
    if gone:
        requests.append(graph.dumps.build_delete_request(gone))
    return requests


def _dumps_of(runs: Iterable[dg.DagsterRun]) -> Iterator[str]:
    """Yield the dumps that runs were asked for."""
    for run in runs:
        ops = cast("Mapping[str, Any]", run.run_config.get("ops", {}))
        for op in ops.values():
            yield from op.get("config", {}).get("dumps", [])


def _say(waiting: dict[str, str], growing: list[str], running: set[str], asked: Asked) -> str:
    if given_up := asked.given_up():
        return f"asked for too often, start ingest_dumps yourself: {', '.join(given_up)}"
    said = [
        f"{len(running):,} dumps are being ingested" if running else "",
        f"{len(growing):,} are still being written: {', '.join(growing[:3])}" if growing else "",
        f"{len(set(waiting) - running):,} wait to be tried again" if set(waiting) - running else "",
    ]
    return "; ".join(filter(None, said)) or "every dump is in"
