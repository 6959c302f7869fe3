"""Dagster's history grows with every run: which runs may go from it, and letting them go.

finished runs older than so many days ──old_runs──▶ without those that the UI still shows something of ──prune──▶ gone

Dagster itself only forgets ticks (`retention` in dagster.yaml). A run stays that holds the newest materialization or
observation of an asset, or of a partition of one: what is stale is computed from those.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from tonsai_pipeline.defs.recipe_graph import Graph

KEEP_DAYS = 90.0
_DAY_S = 86400.0
_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
#: A question with more ids than this is too long for SQLite.
_IDS_AT_ONCE = 500


class HistoryOptions(dg.Config):
    """The launch form of the job that prunes the history."""

    keep_days: float = Field(
        default=KEEP_DAYS, ge=1.0, le=36_500.0, description="Days of history to keep"
    )
    delete: bool = Field(
        default=False, description="Delete; without it the log only says how many runs may go"
    )


def old_runs(instance: dg.DagsterInstance, keep_days: float) -> list[dg.DagsterRun]:
    """Return the finished runs older than so many days that may go."""
    before = datetime.fromtimestamp(time.time() - keep_days * _DAY_S, UTC)
    runs = instance.get_runs(dg.RunsFilter(statuses=_FINISHED, created_before=before))
    shown = _shown_runs(instance) if runs else set()
    return [run for run in runs if run.run_id not in shown]


def prune(instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun]) -> None:
    """Delete runs with their events and the output of their processes."""
    for run in runs:
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        instance.delete_run(run.run_id)


def prune_history(graph: Graph) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the job that prunes Dagster's history, and the schedule that deletes what is old every Sunday."""
    name = f"{graph.prefix}__prune_history"

    @dg.op(name=f"{name}_op", description="Deletes old runs of this Dagster instance.")
    def _op(context: dg.OpExecutionContext, config: HistoryOptions) -> None:
        runs = old_runs(context.instance, config.keep_days)
        if config.delete:
            prune(context.instance, runs)
        done = "deleted" if config.delete else "may go; start it with `delete`"
        context.log.info("%s runs older than %g days %s", f"{len(runs):,}", config.keep_days, done)

    @dg.job(
        name=name,
        description="Deletes runs older than `keep_days` with their events and logs, of every recipe; says only how many "
        "unless `delete` is set. What the UI shows of an asset stays.",
        executor_def=dg.in_process_executor,
    )
    def _job() -> None:
        _op()

    schedule = dg.ScheduleDefinition(
        name=f"{graph.prefix}__forget_old_runs",
        job=_job,
        cron_schedule="0 5 * * 0",
        run_config={"ops": {f"{name}_op": {"config": {"delete": True}}}},
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Every Sunday at 05:00: deletes runs older than {KEEP_DAYS:g} days from Dagster's history.",
    )
    return _job, schedule


def _shown_runs(instance: dg.DagsterInstance) -> set[str]:
    """Return the runs that hold the newest event of an asset or of a partition of one."""
    found: set[str] = set()
    for key in instance.all_asset_keys():
        for kind, fetch in (
            (dg.DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
            (dg.DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
        ):
            found |= {record.run_id for record in fetch(key, limit=1).records}
            newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
            ids = sorted(newest.values())
            for start in range(0, len(ids), _IDS_AT_ONCE):
                chosen = dg.AssetRecordsFilter(
                    asset_key=key, storage_ids=ids[start : start + _IDS_AT_ONCE]
                )
                found |= {record.run_id for record in fetch(chosen, limit=_IDS_AT_ONCE).records}
    return found
