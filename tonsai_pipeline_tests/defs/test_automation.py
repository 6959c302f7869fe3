"""Sensors decide by keys: asked until it is there, once each content, with a limit; bad dumps are left out; lost runs end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.remote_representation.grpc_server_state_subscriber import (
    LocationStateChangeEvent,
    LocationStateChangeEventType,
    LocationStateSubscriber,
)

from tonsai_pipeline.catalog.attempts import MAX_ATTEMPTS, Attempts
from tonsai_pipeline.cli import graph as cli_graph
from tonsai_pipeline.defs.alive import hold, report_lost
from tonsai_pipeline.defs.automation.asked import MAX_ASKS, Asked
from tonsai_pipeline.defs.automation.upkeep import reasons
from tonsai_pipeline.defs.code_server import keep_code_servers
from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.inbox import SETTLE_S
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.missing import DUMP_ASSETS, growth_of
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline_tests.quality.pages import english_prose

A, B = "news@20261101", "news@20261102"


class Place:
    """A recipe with an inbox, its definitions and a Dagster instance."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, **sections: Any) -> None:
        self.instance = instance
        recipe = {"name": "r", "sources": [{"name": "news", "lang": "eng"}], **sections}
        self.graph = Graph(Recipe.model_validate(recipe), Workspace(root=str(root)))
        self.definitions = build_definitions(self.graph.recipe, self.graph.workspace)
        self.inbox = self.graph.store.layout.inbox
        self.inbox.mkdir(parents=True, exist_ok=True)

    def drop(self, dump: str, *texts: str, age_s: float = SETTLE_S + 5) -> Path:
        path = self.inbox / f"{dump}.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    def tick(self, sensor: str, cursor: str | None = None) -> dg.SensorResult:
        found = next(s for s in self.definitions.sensors or () if s.name == f"r__{sensor}")
        result = found(dg.build_sensor_context(instance=self.instance, cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or ():
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions("r_dumps", list(request.partition_keys))
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition("r_dumps", key)
        return result

    def wanted(self, cursor: str | None = None) -> list[str]:
        requests = self.tick("new_dumps", cursor).run_requests or ()
        return [key for r in requests for key in r.run_config["ops"]["r__dumps"]["config"]["dumps"]]

    def ingest(self, *dumps: str, once: bool = False) -> bool:
        config = {"dumps": list(dumps), "num_workers": 1, "once": once}
        job = self.definitions.resolve_job_def("r__ingest_dumps")
        run_config = {"ops": {"r__dumps": {"config": config}}}
        return job.execute_in_process(
            run_config=run_config, instance=self.instance, raise_on_error=False
        ).success

    def told(self, asset: str, dump: str) -> list[str]:
        """Return the data versions that Dagster was told of, the newest first."""
        filtered = dg.AssetRecordsFilter(asset_key=self.graph.key(asset), asset_partitions=[dump])
        records = self.instance.fetch_materializations(filtered, limit=20).records
        return [r.asset_materialization.tags["dagster/data_version"] for r in records]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def place(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Place:
    # No test can set back the time of a file's last change, and waiting for it costs seconds.
    monkeypatch.setattr("tonsai_pipeline.storage.dumps.identity._RACY_S", 0.0)
    return Place(tmp_path, instance)


def test_new_dumps_share_a_run_and_get_their_partitions(place: Place) -> None:
    assert place.tick("new_dumps").skip_reason
    place.drop(A, english_prose(8, 1))
    place.drop(B, english_prose(8, 2), age_s=0)
    result = place.tick("new_dumps")
    [request] = result.run_requests or ()
    assert request.run_config["ops"]["r__dumps"]["config"]["dumps"] == [A], "B is still written"
    assert set(place.instance.get_dynamic_partitions("r_dumps")) == {A, B}
    assert place.wanted(result.cursor) == [], "asked for just now"
    (place.inbox / f"{B}.jsonl").unlink()
    place.tick("new_dumps")
    assert place.instance.get_dynamic_partitions("r_dumps") == [A]


def test_each_content_is_made_once_and_what_is_put_back_is_current_again(place: Place) -> None:
    path = place.drop(A, english_prose(8, 1))
    kept = path.with_name(".kept")
    shutil.copy2(path, kept)
    assert place.wanted() == [A]
    assert place.ingest(A)
    assert place.wanted() == []
    place.drop(A, english_prose(8, 2))
    assert place.wanted() == [A]
    assert place.ingest(A)
    assert place.wanted() == []
    shutil.copy2(kept, path)
    assert place.wanted() == [A]
    assert place.ingest(A)
    assert place.wanted() == []
    first, second, third = place.told("raw_documents", A)
    assert first == third != second
    artifacts = place.graph.store.layout.root / "artifacts" / "raw_documents" / A
    assert len(list(artifacts.iterdir())) == 2
    assert place.graph.store.current("raw_documents", A).data_version == first


def test_a_bad_dump_is_left_out_after_three_failures_and_the_others_are_in(place: Place) -> None:
    place.drop(A, english_prose(8, 1))
    (place.inbox / f"{B}.jsonl").write_text("{broken\n" * 3)
    os.utime(place.inbox / f"{B}.jsonl", (time.time() - 60,) * 2)
    for number in range(3):
        assert sorted(place.wanted()) == [A, B] if number == 0 else [B]
        assert not place.ingest(*([A, B] if number == 0 else [B]))
    assert place.wanted() == []
    assert len(place.told("minhash_signatures", A)) == 1
    assert "no document" in place.graph.find_dumps().set_aside[B]
    [wanted] = place.tick("follow_dumps").run_requests or ()
    assert wanted.asset_selection
    stopped = Place(
        place.graph.store.layout.root, place.instance, automation={"on_bad_dump": "stop"}
    )
    assert "'stop'" in str(stopped.tick("follow_dumps").skip_reason)
    assert stopped.wanted() == []


def test_a_full_disk_is_no_fault_of_a_dump(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place.drop(A, english_prose(8, 1))
    with monkeypatch.context() as full:
        full.setattr("tonsai_pipeline.storage.store.write_manifest", refuse)
        for _ in range(4):
            assert not place.ingest(A)
    assert not place.graph.find_dumps().set_aside
    assert place.wanted() == [A]
    assert place.ingest(A)
    assert place.wanted() == []


def test_a_run_that_makes_the_corpus_tries_a_bad_dump_once(place: Place) -> None:
    (place.inbox / f"{A}.jsonl").write_text("{broken\n")
    [found] = place.graph.find_dumps().dumps
    assert not place.ingest(A, once=True)
    assert "no document" in place.graph.find_dumps().set_aside[found.key]
    attempt = Attempts(place.graph.store.layout.attempts, place.graph.recipe).of(
        found.key, found.version
    )
    assert attempt is not None
    assert attempt.is_set_aside


def test_a_file_that_the_recipe_names_in_vain_is_no_dumps_fault(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    text = {"name": "gone", "lang": "khm", "path": str(tmp_path / "gone.jsonl")}
    place = Place(tmp_path, instance, evaluate={"texts": [text]})
    place.drop(A, english_prose(8, 1))
    for _ in range(3):
        assert not place.ingest(A)
    assert place.graph.find_dumps().set_aside == {}


@pytest.mark.slow
def test_a_dump_that_fails_a_check_does_not_end_the_corpus_of_the_others(place: Place) -> None:
    place.drop(A, english_prose(8, 1), english_prose(8, 2))
    (place.inbox / f"{B}.jsonl").write_text("{broken\n" * 3)
    (place.inbox / "readme.odt").write_text("not a dump")
    chosen = [place.graph.key(name) for name in ("dump_catalog", "deduplicated_documents")]
    place.instance.add_dynamic_partitions("r_dumps", [A, B])
    result = place.definitions.resolve_job_def("r__build_corpus").execute_in_process(
        instance=place.instance,
        asset_selection=chosen,
        run_config={"ops": {"r__deduplicated_documents": {"config": {"num_workers": 1}}}},
        raise_on_error=False,
    )
    assert result.success
    assert list(place.graph.view(of_catalog=True).versions) == [A]
    key = place.graph.key("raw_dumps")
    newest = place.instance.fetch_observations(key, limit=1).records[0].asset_observation
    assert newest is not None
    states = {
        name: one.value for name, one in newest.metadata.items() if isinstance(one.value, int)
    }
    assert {name: n for name, n in states.items() if n} == {
        "not_understood": 1,
        "set_aside": 1,
        "in": 1,
    }


def test_a_dump_whose_process_was_killed_behind_the_work_is_asked_for_again(place: Place) -> None:
    place.drop(A, english_prose(8, 1))
    assert place.ingest(A)
    [dump] = place.graph.find_dumps().dumps
    Attempts(place.graph.store.layout.attempts, place.graph.recipe).begin(dump.key, dump.version)
    assert place.wanted() == [A]
    assert place.ingest(A)
    assert len(place.told("raw_documents", A)) == 2
    assert place.wanted() == []


def test_the_corpus_waits_for_its_dumps(place: Place) -> None:
    assert "no dump yet" in str(place.tick("follow_dumps").skip_reason)
    place.drop(A, english_prose(8, 1))
    assert A in str(place.tick("follow_dumps").skip_reason)
    assert place.ingest(A)
    first = place.tick("follow_dumps")
    assert not first.skip_reason
    [request] = first.run_requests or ()
    assert place.graph.key("packed_shards") in (request.asset_selection or ())
    assert not place.tick("follow_dumps", first.cursor).run_requests, "asked for just now"
    assert "waits for" in str(place.tick("retrain").skip_reason) or "no corpus" in str(
        place.tick("retrain").skip_reason
    )
    assert reasons(place.graph)["packed_shards"] == "not made yet"


def test_growth_is_measured_against_the_shards_that_the_model_was_trained_on(place: Place) -> None:
    store = place.graph.store

    def make(asset: str, key: str, report: dict[str, int], *made_from: str) -> str:
        return store.materialize(
            asset,
            None,
            key,
            lambda _: report,
            stage_version="1",
            settings={},
            inputs={},
            made_from=made_from,
        ).place

    assert growth_of(store) is None
    old = make("packed_shards", "a" * 64, {"num_tokens": 1000})
    make("pretrained_model", "m" * 64, {}, old)
    assert growth_of(store) == 0
    make("packed_shards", "b" * 64, {"num_tokens": 1200})
    assert growth_of(store) == pytest.approx(0.2)


def test_what_is_missing_is_asked_for_again_ever_more_slowly_and_not_for_ever() -> None:
    asked, now, times = Asked(None), 0.0, []
    while now < 100_000:
        if asked.ready({"a": "1"}, now):
            times.append(now)
            asked.ask(["a"], {"a": "1"}, now)
        asked = Asked(asked.cursor)
        now += 10
    waits = [after - before for before, after in pairwise(times)]
    assert len(times) == MAX_ASKS
    assert waits == [30.0 * 2**n for n in range(MAX_ASKS - 1)]
    assert asked.given_up() == ["a"]
    assert asked.ready({"a": "2"}, now) == ["a"], "another content"
    assert asked.ready({}, now) == []
    assert asked.ready({"a": "1"}, now) == ["a"], "it was there in between"


def test_a_run_whose_process_was_killed_ends(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    ids = []
    for _ in range(2):
        run = instance.create_run_for_job(dg.job(name="j")(lambda: None))
        ids.append(run.run_id)
    code = (
        "import sys, time, pathlib; from tonsai_pipeline.defs.alive import hold;"
        "hold(pathlib.Path(sys.argv[1]), sys.argv[2]); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), ids[0]], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    hold(tmp_path, ids[1])
    assert report_lost(tmp_path, instance) == []
    process.kill()
    process.wait()
    assert report_lost(tmp_path, instance) == [ids[0]]
    found = instance.get_run_by_id(ids[0])
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE
    assert report_lost(tmp_path, instance) == []


def test_a_code_server_that_stops_answering_is_loaded_again() -> None:
    subscribed, reloaded = [], threading.Event()

    class Workspace:
        def add_state_subscriber(self, subscriber: LocationStateSubscriber) -> None:
            subscribed.append(subscriber)

        def reload_code_location(self, name: str) -> None:
            assert name == "tonsai_pipeline"
            reloaded.set()

    keep_code_servers(Workspace())
    [subscriber] = subscribed

    def tell(kind: LocationStateChangeEventType) -> None:
        subscriber.handle_event(LocationStateChangeEvent(kind, "tonsai_pipeline", ""))

    tell(LocationStateChangeEventType.LOCATION_DISCONNECTED)
    tell(LocationStateChangeEventType.LOCATION_UPDATED)
    assert not reloaded.is_set(), "it came back by itself"
    tell(LocationStateChangeEventType.LOCATION_ERROR)
    assert reloaded.wait(60)


def test_a_key_of_a_launch_form_is_a_dump_key(place: Place) -> None:
    assert not place.ingest("../../x@20260101")
    assert not list(place.graph.store.layout.root.glob("artifacts/*"))
    assert DumpKey(A).source == "news"


def test_a_command_of_several_runs_looks_at_the_inbox_behind_the_last(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_graph, "open_instance", lambda _: nullcontext(place.instance))
    monkeypatch.setattr(cli_graph, "_DUMPS_PER_RUN", 1)
    for number in range(3):
        place.drop(f"news@2026110{number + 1}", english_prose(8, number))
    options = cli_graph.GraphOptions(num_workers=1)
    cli_graph.run_graph(place.graph.recipe, place.graph.workspace, options, DUMP_ASSETS)
    told = place.instance.fetch_observations(place.graph.key("raw_dumps"), limit=20).records
    seen = [one.asset_observation.metadata for one in told if one.asset_observation is not None]
    looks = [metadata for metadata in seen if "page" in metadata]
    # The newest first: behind the runs, and with the catalog before them.
    assert [(one["waiting"].value, one["in"].value) for one in looks] == [(0, 3), (3, 0)]


@pytest.mark.parametrize("ends", [DagsterExecutionInterruptedError, KeyboardInterrupt])
def test_ending_a_run_again_and_again_sets_no_dump_aside(
    place: Place, monkeypatch: pytest.MonkeyPatch, ends: type[BaseException]
) -> None:
    place.drop(A, english_prose(8, 1))
    num_ended = 0

    def ended(*_: object, **__: object) -> None:
        nonlocal num_ended
        num_ended += 1
        raise ends

    monkeypatch.setattr(Builder, "build", ended)
    for _ in range(MAX_ATTEMPTS):
        with suppress(DagsterExecutionInterruptedError, KeyboardInterrupt):
            place.ingest(A)
    assert num_ended == MAX_ATTEMPTS
    assert place.graph.find_dumps().set_aside == {}
    assert place.wanted() == [A]
