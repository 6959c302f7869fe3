"""A message to a webhook when a run failed, or a check by more than a warning: off until switched on.

run that failed ──alert_failed_runs──┐
failed checks of a run that went on ──alert_failed_checks──┴▶ {"text": ...} ──POST──▶ TONSAI_ALERT_WEBHOOK

Slack, Mattermost and whatever reads JSON understand `text`. The address is a secret: it is read from the environment
when a message is sent, and no log, error or page shows it. A webhook that fails is said by the sensor, and fails nothing.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import dagster as dg
import orjson

from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.errors import redact

_WEBHOOK = "TONSAI_ALERT_WEBHOOK"
_TIMEOUT_S = 8.0
#: Three tries of 8 s and their waits stay below the 60 s that Dagster gives a sensor.
_WAITS_S = (0.0, 1.0, 4.0)
#: What a phone shows of a message.
_MAX_CHARS = 2000


def alerts(graph: Graph) -> list[dg.SensorDefinition]:
    """Return the sensors that tell of failures."""

    @dg.run_status_sensor(
        name=f"{graph.prefix}__alert_failed_runs",
        run_status=dg.DagsterRunStatus.FAILURE,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Posts a message to the webhook that {_WEBHOOK} names when a run of this recipe fails.",
    )
    def _failed_runs(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        if not _is_mine(graph, context.dagster_run):
            return dg.SkipReason("a run of another recipe")
        return _tell(context, _say_run(context))

    @dg.run_status_sensor(
        name=f"{graph.prefix}__alert_failed_checks",
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Posts a message when a run of this recipe went on although a check failed (not a warning): a dump "
        f"was left out, for example. To the webhook that {_WEBHOOK} names.",
    )
    def _failed_checks(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        failed = list(_failures_of_checks(context.instance, context.dagster_run.run_id))
        if not failed or not _is_mine(graph, context.dagster_run):
            return dg.SkipReason("no check failed")
        return _tell(
            context, f"{_name(context.dagster_run)} went on without:\n" + "\n".join(failed)
        )

    return [_failed_runs, _failed_checks]


def send(text: str) -> str:
    """Post a message to the webhook; return why that failed, empty if it did not.

    Args:
        text: The message.
    """
    url = os.environ.get(_WEBHOOK, "")
    if not url:
        return f"{_WEBHOOK} is not set"
    if not url.startswith(("https://", "http://")):
        return f"{_WEBHOOK} is no http(s) URL"
    problem = ""
    for wait_s in _WAITS_S:
        time.sleep(wait_s)
        problem = _post(url, text)
        if not problem:
            return ""
    return f"the webhook of {_WEBHOOK} {problem}, {len(_WAITS_S)} times"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the message, and perhaps the secret, to somebody else."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Follow none; the answer is then an error with its code."""


def _post(url: str, text: str) -> str:
    """Return what went wrong without a word of the address."""
    body = orjson.dumps({"text": redact(text)[:_MAX_CHARS]})
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        request = urllib.request.Request(  # noqa: S310 (the scheme was looked at)
            url, data=body, headers={"Content-Type": "application/json"}
        )
        with opener.open(request, timeout=_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        return f"answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"could not be reached ({type(error).__name__})"


def _tell(context: dg.RunStatusSensorContext, text: str) -> dg.SkipReason:
    problem = send(text)
    if problem:
        context.log.error("alert not sent: %s", problem)
    return dg.SkipReason(f"alert not sent: {problem}" if problem else "alert sent")


def _is_mine(graph: Graph, run: dg.DagsterRun) -> bool:
    """Whether a run is of this recipe: of a job with its name, or of its assets."""
    if run.job_name.startswith(f"{graph.prefix}__"):
        return True
    return any(key.path[0] == graph.prefix for key in run.asset_selection or ())


def _name(run: dg.DagsterRun) -> str:
    """Name a run, with a link where the UI has a name for others."""
    host = os.environ.get("TONSAI_UI_HOSTS", "").split(",")[0].strip()
    link = f" (https://{host}/runs/{run.run_id})" if host else f" (run {run.run_id[:8]})"
    return f"{run.job_name}{link}"


def _say_run(context: dg.RunStatusSensorContext) -> str:
    """Say which run failed, where and why: failed checks first."""
    run_id = context.dagster_run.run_id
    reasons = list(_failures_of_checks(context.instance, run_id))
    reasons += _failed_steps(context.instance, run_id) or [context.dagster_event.message or ""]
    return f"{_name(context.dagster_run)} failed:\n" + "\n".join(filter(None, reasons))


def _failures_of_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    """Yield a line for every failed check of a run that is more than a warning."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    for record in found.records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        result = event.asset_check_evaluation_data
        if not result.passed and result.severity is dg.AssetCheckSeverity.ERROR:
            where = f"[{result.partition}]" if result.partition else ""
            yield f"{result.asset_key.path[-1]}{where}.{result.check_name}: {result.description}"


def _failed_steps(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    said = []
    for record in found.records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        error = event.step_failure_data.error
        cause = error.cause if error is not None and error.cause is not None else error
        reason = event.message if cause is None else cause.message.strip()
        said.append(f"{event.step_key}: {reason}")
    return said
