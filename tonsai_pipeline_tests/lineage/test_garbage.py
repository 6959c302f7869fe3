"""`tonsai gc` attacked: every state of a corpus is built, cleared, and asked for again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.lineage.garbage import Limits, Verdict, forget_cleared, judge
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.lease import clearing, oldest_lease
from tonsai_pipeline.storage.manifest import read_manifest
from tonsai_pipeline.storage.space import (
    clear,
    finish_clearing,
    freed_bytes,
    list_folders,
    used_bytes,
)
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.lineage.worlds import World, bring_up_to_date

NOTHING_ELSE = Limits(used_since_s=float("inf"), lease_since_s=None)
ONLY_SHOWN = Limits(used_since_s=float("inf"), lease_since_s=None, keep_models=False)
Contents = tuple[str, str | None, str]
AFRESH = {"normalize": {"coeng_da": "preserve"}}


def train(world: World, store: Store) -> Artifact:
    """Bring a corpus up to date and make a model of it, which here is a file."""

    def make(*, folder: Path, **_: object) -> dict[str, object]:
        (folder / "weights").write_text(str(world.sections))
        return {}

    builder = world.builder(store)
    bring_up_to_date(builder)
    return builder.build("pretrained_model", make=make)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Artifact]]:
    """A corpus and a model with the settings as they were, then with others, which are those of the recipe now."""
    world = World(tmp_path_factory.mktemp("gc"), LocalEngine(1))
    world.fill(8)
    models = {"before": train(world, world.store)}
    world.sections |= AFRESH
    models["now"] = train(world, world.store)
    return world, models


@pytest.fixture
def place(built: tuple[World, dict[str, Artifact]], tmp_path: Path) -> Iterator[Place]:
    """A copy of that data root, to clear."""
    world, models = built
    root = tmp_path / "home"
    shutil.copytree(world.store.layout.root, root, ignore=shutil.ignore_patterns("leases"))
    sections = dict(world.sections)
    yield Place(world, Store(Layout(root, world.name)), models)
    world.sections = sections


class Place:
    """One data root of a world, and what `tonsai gc` says of it."""

    def __init__(self, world: World, store: Store, models: dict[str, Artifact]) -> None:
        self.world, self.store, self.root = world, store, store.layout.root
        self.models = {name: self.root / "artifacts" / one.place for name, one in models.items()}

    def judge(self, limits: Limits = NOTHING_ELSE) -> list[Verdict]:
        builders = {self.world.name: [self.world.builder(self.store)]}
        return judge(list_folders(self.root), PIPELINE, builders, limits)

    def clear(self, limits: Limits = NOTHING_ELSE) -> set[str]:
        """Delete what may go; return the stages that lost something."""
        going = [one.folder for one in self.judge(limits) if not one.stays]
        assert not [folder for folder in going if not clear(self.root, folder)]
        forget_cleared(self.root)
        return {folder.asset for folder in going}

    def missing(self) -> set[str]:
        """Ask for everything again; return the stages that had to work."""
        before = {one.path for one in list_folders(self.root)}
        bring_up_to_date(self.world.builder(self.store))
        return {one.asset for one in list_folders(self.root) if one.path not in before}

    def sources(self, path: Path) -> set[Contents]:
        """Return the contents of what an artifact was made from, which must all be there."""
        made_from = read_manifest(path).made_from
        assert made_from is not None
        return {contents(self.root / "artifacts" / place) for place in made_from}

    def all_sources(self) -> dict[Path, set[Contents]]:
        """Return that of every artifact."""
        return {path: self.sources(path) for path in self.root.glob("artifacts/*/*/*")}

    def check(self, sources: dict[Path, set[Contents]], *stay: Path) -> None:
        """Fail unless these are there, and whatever is there has everything that it was made from."""
        there = {path: contents(path) for path in sources if path.is_dir()}
        assert set(stay) <= set(there)
        for path in there:
            assert sources[path] <= set(there.values()), path


def contents(path: Path) -> Contents:
    """Name the bytes of an artifact."""
    manifest = read_manifest(path)
    return manifest.asset, manifest.partition, manifest.data_version


def test_what_a_recipe_finds_stays_and_what_it_left_behind_goes(place: Place) -> None:
    shutil.rmtree(place.models["before"])
    lost = place.clear()
    assert {"normalized_documents", "minhash_signatures", "packed_shards"} <= lost
    assert "raw_documents" not in lost
    assert place.missing() == set()
    assert place.clear() == set()


def test_the_recipe_put_back_finds_everything_if_it_is_cleared_as_it_is_now(place: Place) -> None:
    """Settings A, B, and A again: what is shown is B's, what is needed is A's."""
    del place.world.sections["normalize"]
    place.clear(ONLY_SHOWN)
    assert place.missing() == set()


def test_a_finished_model_stays_with_all_that_it_was_made_from(place: Place) -> None:
    sources = place.all_sources()
    assert {asset for asset, _, _ in sources[place.models["before"]]} == {
        "packed_shards",
        "tokenizer",
    }
    place.clear()
    place.check(sources, *place.models.values())
    lost = place.clear(ONLY_SHOWN)
    assert "pretrained_model" in lost
    place.check(sources, place.models["now"])
    assert not place.models["before"].exists()


def test_an_artifact_that_does_not_say_what_it_was_made_from_keeps_all_that_it_may_be(
    place: Place,
) -> None:
    sources = place.all_sources()
    for path in place.root.glob("artifacts/*/*/*/manifest.json"):
        value = json.loads(path.read_text())
        del value["made_from"]
        path.write_text(json.dumps(value))
    place.clear()
    place.check(sources, *place.models.values())


def test_a_dump_that_is_switched_off_goes_and_so_does_what_points_to_it(place: Place) -> None:
    moved = place.world.folder / "data" / "eng_web"
    moved.rename(place.world.folder / "away")
    try:
        place.world.langs.pop("eng_web")
        train(place.world, place.store)
        place.clear(ONLY_SHOWN)
        left = {path.stem for path in place.root.glob("current/*/*/*.json")}
        assert left == {"all", "khm_news@00000000", "eng_news@00000000"}
        assert not list(place.root.glob("artifacts/*/eng_web@00000000"))
        assert place.missing() == set()
    finally:
        place.world.langs["eng_web"] = "eng"
        (place.world.folder / "away").rename(moved)


def test_what_was_used_of_late_stays_with_what_it_needs(place: Place) -> None:
    shutil.rmtree(place.models["before"])
    shown = {one.folder.path for one in place.judge() if one.stays}
    old = next(p for p in place.root.glob("artifacts/packed_shards/all/*") if p not in shown)
    os.utime(old, (2e9, 2e9))
    sources = place.all_sources()
    place.clear(Limits(used_since_s=1.9e9, lease_since_s=None))
    place.check(sources, old)


WORKER = """
import sys, time
from pathlib import Path
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

def make(folder):
    (folder / "part").write_text("begun")
    print("working", flush=True)
    time.sleep(600)

store = Store(Layout(Path(sys.argv[1]), "edits"))
store.materialize("tokenizer", None, "f" * 64, make, stage_version="1", settings={}, inputs={})
"""


@pytest.mark.slow
def test_what_a_run_that_works_makes_and_has_used_stays_until_it_ends(place: Place) -> None:
    shutil.rmtree(place.models["before"])
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(place.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "working\n"
        since = oldest_lease(place.root)
        assert since is not None
        building = place.root / "building" / "tokenizer" / "all" / ("f" * 16)
        used = next(p for p in sorted(place.root.glob("artifacts/packed_shards/all/*")))
        os.utime(used)
        sources = place.all_sources()
        place.clear(Limits(float("inf"), since))
        assert (building / "part").is_file()
        place.check(sources, used)
        # Even one who thinks that nobody works cannot take it.
        [begun] = [one for one in list_folders(place.root) if one.path == building]
        assert not clear(place.root, begun)
    finally:
        worker.kill()
        worker.wait()
    assert oldest_lease(place.root) is None
    place.clear()
    assert not building.exists()


def test_what_is_used_between_the_judgement_and_the_deletion_stays(place: Place) -> None:
    going = [one.folder for one in place.judge(ONLY_SHOWN) if not one.stays]
    used = next(folder for folder in going if folder.asset == "packed_shards")
    os.utime(used.path, (time.time() + 9, time.time() + 9))
    assert not clear(place.root, used)
    assert read_manifest(used.path)


def test_unfinished_work_stays_while_a_recipe_would_go_on_with_it(place: Place) -> None:
    builder = place.world.builder(place.store)
    artifact = builder.build("packed_shards")
    key = artifact.manifest.fingerprint
    building = place.store.layout.building("packed_shards", None, key)
    building.mkdir(parents=True)
    (building / "part").write_text("begun")
    shutil.rmtree(artifact.path)
    shutil.rmtree(place.models["now"])
    run = place.root / "runs" / "pretrain" / ("0" * 16)
    run.mkdir(parents=True)
    place.clear(ONLY_SHOWN)
    assert (building / "part").is_file()
    assert not run.exists()


def test_checkpoints_of_a_finished_model_go_and_the_bytes_that_it_shares_are_not_counted(
    place: Place,
) -> None:
    run = place.root / "runs" / "pretrain" / place.models["now"].name
    run.mkdir(parents=True)
    os.link(place.models["now"] / "weights", run / "weights")
    (run / "checkpoint").write_bytes(b"x" * 1_000_000)
    [folder] = [one for one in list_folders(place.root) if one.path == run]
    assert freed_bytes([run]) == used_bytes([run]) - used_bytes([place.models["now"]]) + sum(
        used_bytes_of(path) for path in place.models["now"].glob("*.json")
    )
    assert clear(place.root, folder)
    assert (place.models["now"] / "weights").is_file()


def used_bytes_of(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_killed_gc_leaves_nothing_that_is_found_and_the_next_one_ends_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(place.models["before"])
    going = [one.folder for one in place.judge() if not one.stays]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            clear(place.root, going[0])
    assert not going[0].path.exists()
    assert list(place.root.glob("building/cleared/*"))
    finish_clearing(place.root)
    assert not list(place.root.glob("building/cleared/*"))
    place.clear()
    assert place.missing() == set()


def test_two_do_not_delete_at_once(place: Place) -> None:
    with clearing(place.root), pytest.raises(StorageError, match="another process"):
        clearing(place.root).__enter__()


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "edits.yaml"
    (tmp_path / "a.jsonl").write_text('{"text": "A text of some words."}\n')
    path.write_text("name: edits\nsources: [{name: a, lang: eng, path: a.jsonl}]\n")
    return path


def gc(*arguments: object) -> str:
    found = CliRunner().invoke(app, ["gc", *map(str, arguments)])
    if found.exception is not None:
        raise found.exception
    return found.output


def test_the_command_touches_nothing_unless_asked_and_measures_what_it_gave(
    place: Place, recipe_file: Path
) -> None:
    """Another recipe of that name: nothing is found, but what is shown and the models stay."""
    listed = sorted(place.root.rglob("*"))
    arguments = ("--recipe", recipe_file, "--home", place.root)
    assert "0 of" in gc(*arguments)  # all of it was made today
    said = gc(*arguments, "--keep-days", 0, "--old-models")
    assert "--delete does it" in said
    assert "no recipe finds it" in said
    assert "shown for recipe edits" in said
    assert sorted(place.root.rglob("*")) == listed
    before = used_bytes([place.root])
    said = gc(*arguments, "--keep-days", 0, "--old-models", "--delete")
    assert "before," in said
    assert used_bytes([place.root]) < before
    assert place.models["now"].is_dir()


def test_a_data_root_is_not_judged_while_a_recipe_of_it_is_not_named(
    place: Place, recipe_file: Path
) -> None:
    other = recipe_file.with_name("other.yaml")
    other.write_text(recipe_file.read_text().replace("edits", "other"))
    everything = sorted(place.root.rglob("*"))
    with pytest.raises(Exception, match=r"results of recipe edits too.*--forget edits"):
        gc("--recipe", other, "--home", place.root, "--keep-days", 0, "--delete")
    assert sorted(place.root.rglob("*")) == everything
    gc(
        "--recipe",
        other,
        "--home",
        place.root,
        "--keep-days",
        0,
        "--delete",
        "--old-models",
        "--forget",
        "edits",
    )
    assert not list(place.root.glob("artifacts/packed_shards"))
    assert not (place.root / "current" / "edits").exists()
