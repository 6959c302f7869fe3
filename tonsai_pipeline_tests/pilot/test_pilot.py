"""A pilot of a tiny corpus, trained in this process: points, cache, screens, page, prediction, the report's line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.models.evaluation_report import PAGE
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError, ManifestError, RecipeError
from tonsai_pipeline.evaluate.bits_per_byte import BitsPerByte
from tonsai_pipeline.evaluate.promised import compare_with_promise
from tonsai_pipeline.loss_law.ladder import Point
from tonsai_pipeline.loss_law.promise import promise_of
from tonsai_pipeline.metrics.bootstrap import Estimate
from tonsai_pipeline.pilot import job
from tonsai_pipeline.pilot.cost import costs, too_short
from tonsai_pipeline.pilot.points import Pilot, result_of
from tonsai_pipeline.pilot.summary import PAGE_NAME, PREDICTION_NAME, summarize
from tonsai_pipeline.pilot.variant import points_of, variant
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec
from tonsai_pipeline.train.launch.launcher import read_result
from tonsai_pipeline_tests.lineage.worlds import World

SECTIONS: dict[str, Any] = {
    "model": {"architecture": "qwen3", "num_layers": 2, "hidden_size": 64, "num_heads": 4},
    "train": {
        "backend": "torch",
        "precision": "fp32",
        "global_batch_tokens": "auto",
        "optimizer": {"lr": "auto", "weight_decay": "auto"},
        "guards": {"min_free_gb": 0.0},
    },
    "evaluate": {"max_documents": 4},
    "pilot": {
        "sizes": [0.1, 0.5],
        "texts": [0.25, 0.6, 1.0],
        "lengths": [1],
        "num_seeds": 2,
        "screens": {
            "lr x2": {"train.optimizer.lr": "x2"},
            "fewer English": {"mixture.languages": {"khm": 0.8, "eng": 0.2}},
        },
    },
}


class Launches:
    """Runs jobs in this process and counts them."""

    num = 0

    def __call__(self, spec: LaunchSpec) -> LaunchResult:
        self.num += 1
        code = job.main(["--run", str(spec.run_file)], work=job.Measuring())
        return read_result(spec, code)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("pilot"), LocalEngine(1))
    world.fill(num_docs=20)
    world.sections |= json.loads(json.dumps(SECTIONS))
    world.sections["mixture"] |= {"max_epochs": 1.0}
    world.build()
    return world


@pytest.fixture(scope="module")
def own(world: World) -> Pilot:
    return Pilot(world.builder(), lambda: world.engine)


@pytest.fixture(scope="module")
def launches(own: Pilot) -> Launches:
    launches = Launches()
    for point in reversed(own.points):
        own.make(point, launches)
    return launches


@pytest.mark.slow
def test_every_point_is_run_once_and_a_second_pilot_reruns_what_is_new(
    world: World, own: Pilot, launches: Launches
) -> None:
    # The screens came first and ran their middle point before them.
    assert launches.num == len(own.points) == 9
    again = Pilot(world.builder(), lambda: world.engine)
    assert all(again.make(point, launches).cached for point in again.points)
    assert launches.num == 9
    world.sections["pilot"]["screens"]["dropout 0.1"] = {"model.dropout": 0.1}
    more = Pilot(world.builder(), lambda: world.engine)
    assert [more.find(point) is None for point in more.points] == [False] * 9 + [True]
    del world.sections["pilot"]["screens"]["dropout 0.1"]


@pytest.mark.slow
def test_points_differ_in_what_they_say_and_share_the_rest(own: Pilot, launches: Launches) -> None:
    results = {point: result_of(artifact) for point in own.points if (artifact := own.find(point))}
    small, large = results[Point(0.1, 0.25)], results[Point(0.5, 1.0)]
    assert large["num_weights"] > 1.5 * small["num_weights"]
    for lang in ("khm", "eng"):
        read = [one["languages"][lang]["unique_tokens"] for one in (small, large)]
        assert 0.05 < read[0] / read[1] < 0.5
    center, seed = results[Point(0.1, 0.6)], results[Point(0.1, 0.6, seed=1)]
    assert center["settings"] == seed["settings"]
    assert center["languages"] != seed["languages"]
    faster = results[Point(0.1, 0.6, screen="lr x2")]
    for name in ("lr", "embedding_lr"):
        assert faster["settings"][name] == pytest.approx(2 * center["settings"][name])
    khmer = results[Point(0.1, 0.6, screen="fewer English")]["languages"]
    assert khmer["khm"]["tokens"] > 2 * khmer["eng"]["tokens"]
    # What is current of the large recipe is not a point's.
    assert own.builder.store.current("packed_shards").data_version == own.shards.data_version
    runs = own.builder.store.layout.root / "runs" / "pilot"
    assert not list(runs.iterdir())


@pytest.mark.slow
def test_the_page_says_what_follows_and_what_does_not(
    world: World, own: Pilot, launches: Launches
) -> None:
    found = summarize(own)
    page = found.file(PAGE_NAME).read_text(encoding="utf-8")
    assert "seed noise" in page
    assert "of them have fewer than 2,500 steps" in page
    assert "| fewer English | khm |" in page
    # Seven runs are the fewest that a law of five parameters is fitted on.
    promise = promise_of(read_json(found.file(PREDICTION_NAME)))
    assert set(promise.languages) == {"khm", "eng"}
    rows = RowReader(own.shards.path / "train")
    assert promise.tokens == rows.num_rows * rows.seq_len
    assert summarize(own).cached
    refused = summarize(own, own.points[:5])
    assert not refused.report["has_prediction"]
    assert "5 runs cannot resolve" in refused.file(PAGE_NAME).read_text(encoding="utf-8")
    world.sections["train"]["seed"] = 7
    with pytest.raises(ManifestError, match="9 of 9 points"):
        summarize(Pilot(world.builder(), lambda: world.engine))
    world.sections["train"]["seed"] = 0


@pytest.mark.slow
def test_points_are_partitions_and_finished_ones_are_hits(
    world: World, own: Pilot, launches: Launches
) -> None:
    workspace = Workspace(root=str(world.store.layout.root), data=str(world.folder / "data"))
    definitions = build_definitions(world.recipe, workspace)
    key = dg.AssetKey(["edits", "pilot_points"])
    partitions = definitions.resolve_asset_graph().get(key).partitions_def
    assert partitions is not None
    assert list(partitions.get_partition_keys()) == [point.name for point in own.points]
    with dg.DagsterInstance.ephemeral() as instance:
        job_def = definitions.resolve_implicit_global_asset_job_def()
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        catalog = job_def.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["edits", "dump_catalog"])],
            run_config=quiet,
        )
        assert catalog.success
        done = definitions.resolve_job_def("edits__pilot").execute_in_process(
            instance=instance, partition_key=own.points[0].name, run_config=quiet
        )
        assert done.get_asset_materialization_events()[0].materialization.metadata["cached"].value
        report = job_def.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["edits", "pilot_report"])],
            run_config=quiet,
        )
        assert report.success


def row(language: str, bits: float) -> BitsPerByte:
    return BitsPerByte("held out", language, "all", "", Estimate(bits, 0, 9, 3), 1.0, 1.0, 10)


@pytest.mark.slow
def test_the_report_holds_the_run_to_the_prediction(
    tmp_path: Path, own: Pilot, launches: Launches
) -> None:
    path = summarize(own).file(PREDICTION_NAME)
    promise = promise_of(read_json(path))
    training = {"num_parameters": promise.num_parameters, "tokens": promise.tokens}
    rows = [row("khm", promise.languages["khm"].value), row("eng", 99.0)]
    found = compare_with_promise(path, training, rows)
    assert [line.is_inside for line in found.languages] == [
        line.language == "khm" for line in found.languages
    ]
    other = compare_with_promise(path, {**training, "num_parameters": 1}, rows)
    assert not other.languages
    assert "predict it anew" in other.problem
    (tmp_path / "p.json").write_text("[]")
    with pytest.raises(DataError, match="not a prediction"):
        compare_with_promise(tmp_path / "p.json", training, rows)
    assert "prediction_kept" in {spec.name for spec in PAGE.specs}


def recipe(**sections: Any) -> Recipe:
    raw = {"name": "r", "sources": [{"name": "a", "lang": "khm"}], **sections}
    return Recipe.model_validate(raw)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"train.optimizer.speed": 3}, "'train.optimizer.speed' is no setting"),
        ({"train.optimizer.lr": "xfast"}, "is no number"),
        ({"model.dropout": 7}, "less than 1"),
    ],
)
def test_a_screen_that_is_no_setting_is_named(changes: dict[str, Any], why: str) -> None:
    one = recipe(pilot={"screens": {"odd": changes}})
    with pytest.raises(RecipeError, match=why):
        variant(one, Point(0.1, 0.5, screen="odd"), num_epochs=1.0)


def test_a_run_with_teachers_of_its_own_is_refused() -> None:
    with pytest.raises(RecipeError, match="small runs have no teachers"):
        points_of(recipe(train={"teacher": {"num_seeds": 2}}))


def test_networks_that_are_not_built_from_sizes_are_refused() -> None:
    with pytest.raises(RecipeError, match="built from sizes"):
        points_of(recipe(model={"base": "some/model"}))


def test_the_plan_needs_no_corpus_and_keeps_the_budget(tmp_path: Path) -> None:
    raw = recipe(train={"max_tokens": 1_000_000}).model_dump(mode="json", exclude_unset=True)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(raw))
    command = ["pilot", "--recipe", str(tmp_path / "r.yaml"), "--home", str(tmp_path / "home")]
    shown = CliRunner().invoke(app, [*command, "--plan", "--tflops", "0.03", "--budget", "1.5"])
    assert shown.exit_code == 0, shown.output
    assert "left out" in shown.output
    assert " 1 steps" in shown.output
    assert "fewer than 2,500" in shown.output
    assert "size-0.125_text-0.25_length-1_lr-x2" in shown.output
    assert not (tmp_path / "home" / "artifacts").exists()


@pytest.mark.parametrize(
    ("batch", "tokens", "texts", "said"),
    [
        # 0.58 D^0.571 tokens a step: 2,500 steps are 23.4 million tokens.
        ("auto", 25_000_000, (1.0, 0.99), ""),
        ("auto", 140_000_000, (0.1, 0.5), "begin `pilot.texts` x `pilot.lengths` at 0.17"),
        ("auto", 25_000_000, (0.25, 0.5), "set `train.global_batch_tokens` to at most 2,304"),
        (1024, 20_480_000, (0.1, 0.5), "has 2,000 steps"),
        (1024, 20_480_000, (0.125, 0.5), ""),
        (2048, 100_000, (0.25, 0.5), "too short for a ladder at any batch"),
    ],
)
def test_a_ladder_with_too_few_steps_is_named_with_what_would_do(
    batch: Any, tokens: int, texts: tuple[float, ...], said: str
) -> None:
    one = recipe(
        train={"global_batch_tokens": batch},
        packing={"seq_len": 256},
        pilot={"texts": texts, "lengths": [1]},
    )
    planned = costs(one, points_of(one), vocab_size=4096, tokens=tokens)
    found = too_short(one, planned)
    assert bool(found) == bool(said), found
    assert said in found
    shortest = min(planned, key=lambda cost: cost.num_steps)
    assert bool(said) == (shortest.num_steps < 2500)
