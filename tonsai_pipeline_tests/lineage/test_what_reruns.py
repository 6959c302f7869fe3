"""The key test: every setting, file and dump is changed; what is made again is what the page of the docs says.

The declarations are the product's own. The work is replaced by a function that writes down everything it was handed, so
that a stage which is handed something that is not in its key, or the other way round, shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder, Pipeline, Stage, document
from tonsai_pipeline.lineage.pipeline import select
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.recipe import Recipe, Section
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import name_contents, write_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.lineage.everything import changed, full_recipe, named_files
from tonsai_pipeline_tests.stages.harness import InventedDump, view_of

ROOT = Path(__file__).parents[2]
A, B, C = "khm_a@20260101", "eng_b@20260102", "khm_a@20260201"
DUMPS = {A: ["one"], B: ["two"], C: ["three"]}


def written_down(value: Any) -> Any:
    """Return what a stage was handed as JSON values; artifacts and files by their bytes."""
    if isinstance(value, Artifact):
        return name_contents(value.path / "handed.json")
    if isinstance(value, InventedDump):
        return [value.key, value.content]
    if isinstance(value, Section):
        return value.settings(name_contents)
    if isinstance(value, Mapping):
        return {str(key): written_down(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [written_down(one) for one in value]
    return name_contents(value) if isinstance(value, Path) else value


def recording(stage: Stage) -> Stage:
    """Return the same declaration with work that writes down what it is handed, and nothing else."""

    def make(folder: Path, engine: Engine, **handed: Any) -> dict[str, int]:
        del engine
        values = {}
        for name, value in handed.items():
            fields = stage.fields.get(name)
            is_watched = fields is not None and fields.watched
            values[name] = written_down(value.narrow() if is_watched else value)
        write_json(folder / "handed.json", {"version": stage.version, **values})
        return {}

    return replace(stage, make=make)


RECORDING = [recording(stage) for stage in PIPELINE]


class Bench:
    """A store, and what is made in it."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self.store = Store(Layout(folder / "home", "everything"))
        self.engine = engine

    def build(
        self,
        recipe: Recipe,
        dumps: Mapping[str, Any] = DUMPS,
        stages: list[Stage] = RECORDING,
    ) -> dict[str, str]:
        """Build everything; return the data version of every artifact."""
        pipeline = Pipeline(stages)
        builder = Builder(pipeline, recipe, self.store, view_of(dumps), engine=lambda: self.engine)
        for stage in pipeline:
            for dump in [DumpKey(key) for key in dumps] if stage.each_dump else [None]:
                builder.build(stage.name, dump)
        return {
            f"{stage.name}/{dump or 'all'}": builder.build(stage.name, dump).manifest.fingerprint
            for stage in pipeline
            for dump in ([DumpKey(key) for key in dumps] if stage.each_dump else [None])
        }

    def made(self, before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
        """Return the artifacts whose work is another one now."""
        return {name for name, key in after.items() if before.get(name) != key}


@pytest.fixture
def bench(tmp_path: Path, engine: Engine) -> Bench:
    return Bench(tmp_path, engine)


def stages_of(made: set[str]) -> set[str]:
    return {name.partition("/")[0] for name in made}


def closure(stages: list[str]) -> set[str]:
    return set(stages) | {later for name in stages for later in document.after(PIPELINE, name)}


def test_the_page_of_the_docs_is_that_of_the_declarations() -> None:
    assert (ROOT / "docs" / "what_reruns_when.md").read_text() == document.page(PIPELINE)


#: Which dumps are read, and their order, is decided by these; what follows is tested by itself.
_ORDER = ("sources.path", "sources.hub", "sources.date", "sources.name", "dedup.policy")
_ORDER += ("sources.keep_raw",)
_ORDER += ("dedup.prefer_sources", "tokenizer.parallel", "quality.classifiers.positives")
_ORDER += ("quality.classifiers.negatives", "mixture.languages", "mixture.stages", "sources.weight")


def test_every_setting_makes_again_what_the_page_says(bench: Bench) -> None:
    recipe = full_recipe(bench.folder)
    before = bench.build(recipe)
    assert bench.build(recipe) == before
    seen, wrong = 0, {}
    for leaf in document.leaves():
        if leaf.startswith(_ORDER) or leaf == "sources.lang":
            continue
        other = changed(recipe, leaf)
        expected = closure(document.given_to(PIPELINE, leaf))
        found = stages_of(bench.made(before, bench.build(other)))  # type: ignore[arg-type]
        seen += 1
        if found != expected:
            wrong[leaf] = (sorted(found - expected), sorted(expected - found))
    assert wrong == {}
    assert seen > 120


@pytest.mark.parametrize(
    ("leaf", "direct"),
    [
        (
            "sources.lang",
            [
                "scored_documents_of_dump",
                "mixture_documents",
                "training_mixture",
                "published_model",
            ],
        ),
        ("sources.weight", ["training_mixture", "published_model"]),
        ("mixture.languages", ["training_mixture", "sft_dataset"]),
        ("mixture.stages.weights", ["training_mixture"]),
    ],
)
def test_settings_of_shares_make_again_what_the_page_says(
    bench: Bench, leaf: str, direct: list[str]
) -> None:
    recipe = full_recipe(bench.folder)
    before = bench.build(recipe)
    assert document.given_to(PIPELINE, leaf) == direct
    found = bench.made(before, bench.build(changed(recipe, leaf)))  # type: ignore[arg-type]
    assert stages_of(found) == closure(direct)


def test_every_named_file_counts_by_its_bytes_and_not_by_its_name(bench: Bench) -> None:
    recipe = full_recipe(bench.folder)
    before = bench.build(recipe)
    files = named_files(bench.folder)
    for leaf, path in files.items():
        old = path.read_text()
        path.write_text(old + " ")
        found = stages_of(bench.made(before, bench.build(recipe)))
        assert found == closure(document.given_to(PIPELINE, leaf)), leaf
        path.write_text(old)
        assert bench.build(recipe) == before, leaf
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    assert bench.build(full_recipe(elsewhere)) == before


def test_a_stage_of_another_version_is_made_again_with_all_that_follows(bench: Bench) -> None:
    recipe = full_recipe(bench.folder)
    before = bench.build(recipe)
    for place, stage in enumerate(PIPELINE):
        newer = replace(stage, version=f"{stage.version}+new")
        stages = [*RECORDING[:place], recording(newer), *RECORDING[place + 1 :]]
        found = bench.made(before, bench.build(recipe, stages=stages))
        assert stages_of(found) == closure([stage.name]), stage.name


def dump_effect(bench: Bench, dumps: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return which artifacts other dumps make again, by stage."""
    recipe = full_recipe(bench.folder).model_copy(
        update={"dedup": full_recipe(bench.folder).dedup.model_copy(update={"prefer_sources": ()})}
    )
    before = bench.build(recipe)
    made: dict[str, list[str]] = {}
    for name in sorted(bench.made(before, bench.build(recipe, dumps))):
        stage, _, dump = name.partition("/")
        made.setdefault(stage, []).append(dump)
    return made


def test_one_byte_of_one_text_makes_its_dump_and_what_depends_on_it(bench: Bench) -> None:
    made = dump_effect(bench, {**DUMPS, B: ["twO"]})
    own = ("raw_documents", "normalized_documents", "minhash_signatures", "contaminated_documents")
    for stage in (*own, "dedup_index"):
        assert made[stage] == [B]
    for stage in ("dedup_decisions", "kept_documents_of_dump"):
        assert made[stage] == [B, C], "the dumps behind it are decided again, those before are not"
    for stage in PIPELINE:
        if not stage.each_dump and stage.name not in ("evaluation_ngrams", "instruction_data"):
            assert made[stage.name] == ["all"], stage.name


def test_a_dump_that_comes_last_leaves_the_decisions_of_the_others(bench: Bench) -> None:
    new = "khm_a@20260301"
    made = dump_effect(bench, {**DUMPS, new: ["four"]})
    for stage in ("raw_documents", "dedup_index", "dedup_decisions", "kept_documents_of_dump"):
        assert made[stage] == [new]


def test_a_dump_that_goes_and_comes_back_finds_everything_made(bench: Bench) -> None:
    recipe = full_recipe(bench.folder)
    before = bench.build(recipe)
    without = {key: content for key, content in DUMPS.items() if key != B}
    assert bench.build(recipe, without) != before
    bench.build(recipe, {**DUMPS, B: ["replaced"]})
    folders = set((bench.folder / "home" / "artifacts").glob("*/*/*"))
    assert bench.build(recipe) == before
    assert set((bench.folder / "home" / "artifacts").glob("*/*/*")) == folders


def test_two_recipes_that_agree_share_what_they_agree_on(bench: Bench) -> None:
    recipe = full_recipe(bench.folder)
    before = bench.build(recipe)
    other = recipe.model_copy(update={"name": "other"})
    made = stages_of(bench.made(before, bench.build(other)))
    named = {"evaluation_report", "sft_report", "published_model"}
    assert made == named, "their title is the recipe's name"


def test_what_is_not_declared_cannot_be_read(tmp_path: Path) -> None:
    recipe = full_recipe(tmp_path)
    for stage in PIPELINE:
        for fields in stage.fields.values():
            given = select(recipe, fields, "khm_a")
            if not isinstance(given, Section) or fields.watched:
                continue
            for name in type(given).model_fields:
                wanted = not fields.only or name in fields.only
                if wanted and name not in {*fields.without, *given.unkeyed}:
                    getattr(given, name)
                else:
                    with pytest.raises(AttributeError):
                        getattr(given, name)
