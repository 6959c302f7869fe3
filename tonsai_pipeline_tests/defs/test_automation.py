"""The sensor: a new or changed dump is registered, observed and ingested once; a young file is left alone."""

import os
import time

import dagster as dg
import pytest

from tonsai_pipeline.defs.automation import SETTLE_S, new_dump_sensor
from tonsai_pipeline.defs.jobs import ingest_dump
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.stage_asset import Graph
from tonsai_pipeline.recipe import load_recipe

KEY = "khm_news@20261101"


@pytest.fixture
def place(tmp_path):
    graph = Graph(load_recipe("demo"), Workspace(root=str(tmp_path)))
    inbox = graph.store.layout.inbox
    inbox.mkdir(parents=True)
    return new_dump_sensor(graph, ingest_dump(graph)), inbox


def drop(inbox, text, *, age_s=SETTLE_S + 5):
    path = inbox / f"{KEY}.jsonl"
    path.write_text(text)
    then = time.time() - age_s
    os.utime(path, (then, then))


def evaluate(sensor, instance, cursor=None):
    return sensor(dg.build_sensor_context(instance=instance, cursor=cursor))


def test_an_empty_inbox_asks_for_nothing(place):
    sensor, inbox = place
    with dg.DagsterInstance.ephemeral() as instance:
        result = evaluate(sensor, instance)
    assert isinstance(result, dg.SkipReason)
    assert str(inbox) in str(result.skip_message)


def test_a_new_dump_is_registered_observed_and_run(place):
    sensor, inbox = place
    drop(inbox, '{"text": "a"}\n')
    with dg.DagsterInstance.ephemeral() as instance:
        result = evaluate(sensor, instance)
    assert [r.partition_key for r in result.run_requests] == [KEY]
    [added] = result.dynamic_partitions_requests
    assert (added.partitions_def_name, list(added.partition_keys)) == ("demo_dumps", [KEY])
    assert [(e.asset_key.to_user_string(), e.partition) for e in result.asset_events] == [
        ("demo/raw_dumps", KEY)
    ]


def test_the_same_dump_is_asked_for_once_and_again_when_it_changes(place):
    sensor, inbox = place
    drop(inbox, '{"text": "a"}\n')
    with dg.DagsterInstance.ephemeral() as instance:
        first = evaluate(sensor, instance)
        again = evaluate(sensor, instance, first.cursor)
        drop(inbox, '{"text": "a"}\n{"text": "b"}\n')
        changed = evaluate(sensor, instance, first.cursor)
    assert isinstance(again, dg.SkipReason)
    assert [r.partition_key for r in changed.run_requests] == [KEY]
    assert changed.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_file_that_may_still_be_written_is_left_alone(place):
    sensor, inbox = place
    drop(inbox, '{"text": "a"}\n', age_s=0)
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(evaluate(sensor, instance), dg.SkipReason)
