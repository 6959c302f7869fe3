"""The cache as a person at the web UI meets it: jobs, schedule, data versions, what is made on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline_tests.lineage.worlds import CORPUS_ASSETS, DUMP_ASSETS, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, LocalEngine(1))
    world.fill()
    return world


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def definitions_of(world: World) -> dg.Definitions:
    workspace = Workspace(root=str(world.store.layout.root), data=str(world.folder / "data"))
    return build_definitions(world.recipe, workspace)


def build_corpus(world: World, instance: dg.DagsterInstance) -> Counter[str]:
    """Run the job of that name; return how often each asset was materialized."""
    job = definitions_of(world).resolve_job_def("edits__build_corpus")
    ops = {f"edits__{name}": {"config": {"num_workers": 1}} for name in CORPUS_ASSETS}
    result = job.execute_in_process(
        instance=instance,
        run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    return Counter(e.asset_key.path[-1] for e in result.get_asset_materialization_events())


def asks_for_a_run(world: World) -> bool:
    schedule = next(s for s in definitions_of(world).schedules or () if "weekly" in s.name)
    assert isinstance(schedule, dg.ScheduleDefinition)
    found = schedule.evaluate_tick(dg.build_schedule_context())
    return bool(found.run_requests)


def shown_version(instance: dg.DagsterInstance, asset: str) -> str:
    event = instance.get_latest_materialization_event(dg.AssetKey(["edits", asset]))
    assert event is not None
    assert event.asset_materialization is not None
    return (event.asset_materialization.tags or {})["dagster/data_version"]


def assert_tables_are_as_declared(world: World, instance: dg.DagsterInstance) -> None:
    """Compare the columns that the UI shows with the files."""
    builder, num_tables = world.builder(), 0
    for stage in PIPELINE:
        if stage.table is None or stage.of_recipe is not None:
            continue
        made = [builder.find(stage.name, dump) for dump in builder.dumps.versions]
        parts = [
            part for one in made if one is not None for part in one.path.rglob("part-*.parquet")
        ]
        names = {tuple(pq.read_schema(part).names) for part in parts}
        assert tuple(stage.table.columns.names) in names, stage.name
        event = instance.get_latest_materialization_event(dg.AssetKey(["edits", stage.asset]))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        shown = metadata["dagster/column_schema"].value
        assert [column.name for column in shown.columns] == stage.table.columns.names
        num_tables += 1
    assert num_tables == 8
    lineage = metadata["dagster/column_lineage"].value.deps_by_column
    found = [(dep.asset_key.path[-1], dep.column_name) for dep in lineage["score"]]
    assert found == [("scored_documents", "score")]


@pytest.mark.slow
def test_the_corpus_job_looks_at_its_dumps_and_the_schedule_at_all_of_them(
    world: World, instance: dg.DagsterInstance
) -> None:
    assert asks_for_a_run(world)
    once = {"dump_catalog": 1, **dict.fromkeys(CORPUS_ASSETS, 1)}
    assert build_corpus(world, instance) == once | dict.fromkeys(DUMP_ASSETS, 3)
    assert world.versions() == world.fresh_versions()
    assert len(instance.get_dynamic_partitions("edits_dumps")) == 3
    assert_tables_are_as_declared(world, instance)
    assert not asks_for_a_run(world)
    # Everything is found: no dump is told of again.
    assert build_corpus(world, instance) == once

    world.sections["normalize"] = {"coeng_da": "preserve"}
    assert asks_for_a_run(world)
    made = build_corpus(world, instance)
    assert made["raw_documents"] == 0
    assert made["normalized_documents"] == 3
    assert made["minhash_signatures"] == 1  # English normalizes to what it was
    assert world.versions() == world.fresh_versions()
    assert not asks_for_a_run(world)

    before = {name: shown_version(instance, name) for name in CORPUS_ASSETS}
    path = world.folder / "data" / "eng_news" / "b.jsonl"
    path.write_text(path.read_text("utf-8").replace("school", "temple", 1), "utf-8")
    assert asks_for_a_run(world)
    build_corpus(world, instance)
    assert world.versions() == world.fresh_versions()
    # The sum over all dumps is what it was; that one of them is not has to show, or shards look fresh.
    assert shown_version(instance, "tokenized_documents") != before["tokenized_documents"]
    assert shown_version(instance, "packed_shards") != before["packed_shards"]
