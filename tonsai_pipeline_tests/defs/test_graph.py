"""The asset graph as a person sees it: names, arrows, partitions, checks, jobs."""

import json
from pathlib import Path

import dagster as dg
import pytest

from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.jobs import CORPUS_ASSETS, DUMP_ASSETS, MODEL_ASSETS
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.recipe import load_recipe, shipped_recipes

GOLDEN = Path(__file__).parent.parent / "golden" / "asset_graph.json"


@pytest.fixture(scope="module")
def graph():
    return build_definitions(load_recipe("demo"), Workspace()).resolve_asset_graph()


def test_the_graph_is_the_street_of_the_golden_file(graph):
    found = {
        key.to_user_string(): sorted(
            parent.to_user_string() for parent in graph.get(key).parent_keys
        )
        for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string())
    }
    assert found == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_gives_definitions_that_load(name):
    dg.Definitions.validate_loadable(build_definitions(load_recipe(name), Workspace()))


def test_only_what_is_made_once_a_dump_is_partitioned(graph):
    partitioned = {
        key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).partitions_def
    }
    assert partitioned == {"raw_dumps", *DUMP_ASSETS}


def test_every_made_asset_belongs_to_a_job_and_tells_its_story(graph):
    made = {key.to_user_string() for key in graph.get_all_asset_keys()} - {"raw_dumps"}
    assert made == {*DUMP_ASSETS, *CORPUS_ASSETS, *MODEL_ASSETS}
    for name in made:
        node = graph.get(dg.AssetKey(name))
        assert node.description
        assert node.group_name in ("corpus", "training_data", "models")
        assert node.code_version


def test_every_stage_that_can_poison_the_next_has_a_blocking_check(graph):
    checked = {key.asset_key.to_user_string() for key in graph.asset_check_keys}
    assert checked == {*DUMP_ASSETS, *CORPUS_ASSETS, *MODEL_ASSETS}


def test_an_edited_setting_changes_the_code_version_of_what_it_decides_and_nothing_before():
    recipe = load_recipe("demo")
    packing = recipe.packing.model_copy(update={"seq_len": recipe.packing.seq_len * 2})
    before, after = (
        build_definitions(each, Workspace()).resolve_asset_graph()
        for each in (recipe, recipe.model_copy(update={"packing": packing}))
    )
    changed = {
        key.to_user_string()
        for key in before.get_all_asset_keys()
        if before.get(key).code_version != after.get(key).code_version
    }
    assert changed == {"packed_shards"}


def test_sensor_and_schedule_are_off_until_a_person_switches_them_on():
    definitions = build_definitions(load_recipe("demo"), Workspace())
    assert [s.default_status for s in definitions.sensors] == [dg.DefaultSensorStatus.STOPPED]
    assert [s.default_status for s in definitions.schedules] == [dg.DefaultScheduleStatus.STOPPED]


def test_training_holds_the_gpu_pool():
    definitions = build_definitions(load_recipe("demo"), Workspace())
    pools = {
        key.to_user_string(): asset.op.pool
        for asset in definitions.assets
        if isinstance(asset, dg.AssetsDefinition)
        for key in asset.keys
    }
    assert {name for name, pool in pools.items() if pool == "gpu"} == {*MODEL_ASSETS}
