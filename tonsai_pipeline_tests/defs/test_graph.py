"""The asset graph as a person sees it: names, arrows, partitions, checks, jobs; recipes side by side."""

import json
from pathlib import Path

import dagster as dg
import pytest

from tonsai_pipeline.definitions import definitions
from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.missing import CORPUS_ASSETS, DUMP_ASSETS, MODEL_ASSETS
from tonsai_pipeline.recipe import Recipe, load_recipe, shipped_recipes

GOLDEN = Path(__file__).parent.parent / "golden" / "asset_graph.json"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph():
    return build_definitions(load_recipe("demo"), Workspace()).resolve_asset_graph()


def names(keys):
    """Return asset names without the recipe's, which all must have."""
    keys = list(keys)
    assert all(key.path[0] == "demo" and len(key.path) == 2 for key in keys)
    return {key.path[1] for key in keys}


def test_the_graph_is_the_pipeline_of_the_golden_file(graph):
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
    partitioned = {key for key in graph.get_all_asset_keys() if graph.get(key).partitions_def}
    assert names(partitioned) == {"raw_dumps", *DUMP_ASSETS}
    assert {graph.get(key).partitions_def.name for key in partitioned} == {"demo_dumps"}


def test_every_made_asset_belongs_to_a_job_and_tells_its_story(graph):
    made = names(graph.get_all_asset_keys()) - {"raw_dumps"}
    assert made == {*DUMP_ASSETS, *CORPUS_ASSETS, *MODEL_ASSETS}
    for name in made:
        node = graph.get(dg.AssetKey(["demo", name]))
        assert (ROOT / "docs" / doc_of(node.description)).is_file()
        assert node.owners == ["team:tonsai"]
        assert node.tags["tonsai/recipe"] == "demo"
        assert node.kinds
        assert node.group_name in ("corpus", "training_data", "models")
        assert node.code_version


def doc_of(description):
    """Return the page of docs/ that a description links."""
    return description.partition("(/tonsai/docs/")[2].removesuffix(")")


#: Sums and measures: what they count is checked where it is used, or nothing is made from them.
UNCHECKED = {
    "contaminated_documents",
    "kept_documents",
    "quality_classifiers",
    "tokenized_documents",
    "evaluation_report",
}


def test_every_stage_that_can_poison_the_next_has_a_blocking_check(graph):
    blocking = [key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking]
    checked = names({key.asset_key for key in blocking})
    assert checked == {*DUMP_ASSETS, *CORPUS_ASSETS, *MODEL_ASSETS} - UNCHECKED


@pytest.mark.parametrize(
    ("section", "setting", "value", "decided"),
    [
        ("packing", "seq_len", 512, {"packed_shards"}),
        (
            "normalize",
            "coeng_da",
            "preserve",
            {*DUMP_ASSETS, *CORPUS_ASSETS, *MODEL_ASSETS} - {"raw_documents", "dump_catalog"},
        ),
        (
            "quality",
            "mask",
            ["email"],
            {
                "training_mixture",
                "tokenizer",
                "tokenized_documents",
                "packed_shards",
                "evaluation_report",
            },
        ),
        ("quality", "max_drift", 0.9, set()),
    ],
)
def test_an_edited_setting_changes_the_code_version_of_what_it_decides_and_nothing_else(
    section, setting, value, decided
):
    recipe = load_recipe("demo")
    raw = recipe.model_dump(mode="json")
    assert raw[section][setting] != value
    edited = Recipe.model_validate({**raw, section: {**raw[section], setting: value}})
    before, after = (
        build_definitions(each, Workspace()).resolve_asset_graph() for each in (recipe, edited)
    )
    changed = names(
        key
        for key in before.get_all_asset_keys()
        if before.get(key).code_version != after.get(key).code_version
    )
    assert changed == decided


def test_what_starts_something_is_off_until_a_person_switches_it_on():
    definitions = build_definitions(load_recipe("demo"), Workspace())
    sensors = {s.name.removeprefix("demo__"): s.default_status for s in definitions.sensors}
    arrows = ("new_dumps", "follow_dumps", "retrain", "follow_model", "say_stale")
    alerts = ("alert_failed_runs", "alert_failed_checks")
    stopped = dict.fromkeys((*arrows, *alerts), dg.DefaultSensorStatus.STOPPED)
    assert sensors == {**stopped, "lost_runs": dg.DefaultSensorStatus.RUNNING}
    assert {s.default_status for s in definitions.schedules} == {dg.DefaultScheduleStatus.STOPPED}


def test_training_holds_the_gpu_pool():
    definitions = build_definitions(load_recipe("demo"), Workspace())
    pools = {
        key: asset.op.pool
        for asset in definitions.assets
        if isinstance(asset, dg.AssetsDefinition)
        for key in asset.keys
    }
    assert names(key for key, pool in pools.items() if pool == "gpu") == {*MODEL_ASSETS}


@pytest.fixture
def two_recipes(tmp_path, monkeypatch):
    """Two recipes over the same source name in one folder and one data root, as `TONSAI_RECIPE` names them."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(
            f"name: {name}\nsources: [{{name: news, lang: eng, path: {name}.jsonl}}]\n"
        )
        (tmp_path / f"{name}.jsonl").write_text('{"text": "x"}\n')
    monkeypatch.setenv("TONSAI_RECIPE", f"{tmp_path / 'a.yaml'}, {tmp_path / 'b.yaml'}")
    monkeypatch.setenv("TONSAI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TONSAI_DATA", raising=False)
    return tmp_path


def test_two_recipes_stand_side_by_side_in_one_ui_and_one_history(two_recipes):
    both = definitions()
    dg.Definitions.validate_loadable(both)
    keys = both.resolve_asset_graph().get_all_asset_keys()
    by_recipe = {name: {key.path[1] for key in keys if key.path[0] == name} for name in ("a", "b")}
    assert (
        by_recipe["a"]
        == by_recipe["b"]
        == {"raw_dumps", *DUMP_ASSETS, *CORPUS_ASSETS, *MODEL_ASSETS}
    )
    job = both.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        wanted = dg.AssetKey(["a", "dump_catalog"])
        assert job.execute_in_process(instance=instance, asset_selection=[wanted]).success
        assert instance.get_dynamic_partitions("a_dumps") == ["news@00000000"]
        assert instance.get_dynamic_partitions("b_dumps") == []
        run = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["a", "raw_documents"])],
            partition_key="news@00000000",
        )
        assert run.success
        for name, counts in (("a", (1, 1)), ("b", (0, 0))):
            found = tuple(
                len(instance.fetch_materializations(dg.AssetKey([name, asset]), limit=9).records)
                for asset in ("dump_catalog", "raw_documents")
            )
            assert found == counts, name


def test_two_recipes_of_one_name_are_refused(two_recipes):
    (two_recipes / "b.yaml").write_text((two_recipes / "a.yaml").read_text())
    with pytest.raises(RecipeError, match=r"a\.yaml and .*b\.yaml are both named 'a'; rename one"):
        definitions()
