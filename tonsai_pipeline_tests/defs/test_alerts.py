"""Alerts reach a web hook and never show its address; the history loses what nobody sees and nothing else."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from tonsai_pipeline.defs.automation import alerts
from tonsai_pipeline.defs.history import old_runs, prune
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.recipe import Recipe

SECRET = "T0K3N-of-the-hook"
RECIPE = Recipe.model_validate({"name": "r", "sources": [{"name": "news", "lang": "eng"}]})


class Hook:
    """A web hook that keeps what it is sent and answers what it is told."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.said.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name)
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hooks/{SECRET}"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    hook = Hook()
    monkeypatch.setenv("TONSAI_ALERT_WEBHOOK", hook.url)
    monkeypatch.setattr(alerts, "_WAITS_S", (0.0, 0.0, 0.0))
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@dg.asset(
    key=["r", "scored_documents"],
    check_specs=[
        dg.AssetCheckSpec("something_stays", asset=["r", "scored_documents"], blocking=True)
    ],
)
def _scored() -> dg.MaterializeResult:
    result = dg.AssetCheckResult(
        check_name="something_stays",
        passed=False,
        description="0 kept of https://me:hunter2@example.org/x",
    )
    return dg.MaterializeResult(check_results=[result])


def tick(instance: dg.DagsterInstance, run: dg.ExecuteInProcessResult, sensor: str) -> str:
    """Evaluate a sensor for a run; return why it skipped."""
    found = next(s for s in alerts.alerts(Graph(RECIPE, Workspace())) if s.name == f"r__{sensor}")
    kind = (
        dg.DagsterEventType.PIPELINE_SUCCESS
        if run.success
        else dg.DagsterEventType.PIPELINE_FAILURE
    )
    event = next(e for e in run.all_events if e.event_type is kind)
    context = dg.build_run_status_sensor_context(
        sensor_name=found.name,
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=run.dagster_run,
    )
    skipped = found(context)
    assert isinstance(skipped, dg.SkipReason)
    return skipped.skip_message or ""


def fail(
    instance: dg.DagsterInstance, asset: dg.AssetsDefinition = _scored, job: str = "r__build_corpus"
) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions([asset], jobs=[dg.define_asset_job(job, [asset])])
    found = definitions.resolve_job_def(job)
    return found.execute_in_process(instance=instance, raise_on_error=False)


def test_a_failed_run_is_told_with_the_check_that_failed_and_no_password(
    hook: Hook, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONSAI_UI_HOSTS", "tonsai.example.org")
    run = fail(instance)
    assert not run.success
    assert tick(instance, run, "alert_failed_runs") == "alert sent"
    (message,) = hook.said
    assert list(message) == ["text"]
    assert f"https://tonsai.example.org/runs/{run.run_id}" in message["text"]
    assert "scored_documents.something_stays: 0 kept" in message["text"]
    assert "hunter2" not in message["text"]


def test_a_run_that_went_on_without_a_dump_is_told_and_a_good_one_is_not(
    hook: Hook, instance: dg.DagsterInstance
) -> None:
    @dg.op
    def goes_on(context) -> None:
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["r", "raw_documents"]),
                check_name="not_empty",
                passed=False,
                description="no document",
                metadata={},
                partition="news@20261101",
            )
        )

    @dg.op
    def is_good() -> None:
        """Do nothing."""

    @dg.job(name="r__ingest_dumps")
    def job() -> None:
        goes_on()

    @dg.job(name="r__build_corpus")
    def good() -> None:
        is_good()

    assert "no check failed" in tick(
        instance, good.execute_in_process(instance=instance), "alert_failed_checks"
    )
    assert not hook.said
    assert (
        tick(instance, job.execute_in_process(instance=instance), "alert_failed_checks")
        == "alert sent"
    )
    assert "raw_documents[news@20261101].not_empty: no document" in hook.said[0]["text"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_web_hook_that_fails_is_said_without_its_address(
    hook: Hook, instance: dg.DagsterInstance, status: int
) -> None:
    hook.status = status
    said = tick(instance, fail(instance), "alert_failed_runs")
    assert str(status) in said
    assert SECRET not in said
    assert len(hook.said) == 3


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/x", "http://[bad", f"http://127.0.0.1:9/{SECRET}", "http://a b/"]
)
def test_an_address_that_is_none_is_said_without_it(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TONSAI_ALERT_WEBHOOK", url)
    said = alerts.send("x")
    assert "TONSAI_ALERT_WEBHOOK" in said
    assert not url or url not in said
    assert SECRET not in said


def test_a_run_of_another_recipe_is_not_told(hook: Hook, instance: dg.DagsterInstance) -> None:
    @dg.asset(key=["other", "scored_documents"])
    def breaks() -> None:
        raise RuntimeError

    run = fail(instance, breaks, "other__build_corpus")
    assert tick(instance, run, "alert_failed_runs") == "a run of another recipe"
    assert not hook.said


def test_old_runs_go_but_not_what_the_ui_shows(instance: dg.DagsterInstance) -> None:
    dumps = dg.DynamicPartitionsDefinition(name="r_dumps")

    @dg.asset(key=["r", "raw_documents"], partitions_def=dumps)
    def raw() -> None:
        """Make nothing."""

    @dg.asset(key=["r", "packed_shards"])
    def shards() -> None:
        """Make nothing."""

    instance.add_dynamic_partitions("r_dumps", ["a", "b"])

    def run(asset: dg.AssetsDefinition, dump: str | None = None) -> str:
        return dg.materialize([asset], instance=instance, partition_key=dump).run_id

    superseded = [run(raw, "a"), run(shards)]
    shown = [run(raw, "a"), run(raw, "b"), run(shards)]
    assert old_runs(instance, keep_days=1) == []
    old = old_runs(instance, keep_days=0)
    assert {one.run_id for one in old} == set(superseded)
    prune(instance, old)
    assert {one.run_id for one in instance.get_runs()} == set(shown)
    assert not instance.all_logs(superseded[0])
    key = dg.AssetKey(["r", "raw_documents"])
    assert set(instance.get_materialized_partitions(key)) == {"a", "b"}
    assert old_runs(instance, keep_days=0) == []
