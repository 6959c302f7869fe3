"""Real stages over a data root in an object store: the bytes of a folder, and another machine with an empty disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.catalog.catalog import add_dump
from tonsai_pipeline.cli import app
from tonsai_pipeline.defs.report_page import read_page, write_page
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.lineage.garbage import Limits, forget_cleared, judge
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.recipe import Recipe, parse_recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.layout import Layout, origin_url
from tonsai_pipeline.storage.origin import open_origin
from tonsai_pipeline.storage.space import clear, list_folders
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.lineage.worlds import (
    CORPUS_ASSETS,
    DUMP_ASSETS,
    World,
    bring_up_to_date,
    build_corpus,
    versions_of,
)
from tonsai_pipeline_tests.object_store import PROTOCOLS, ObjectStore, on_machine, served


class InboxWorld(World):
    """A world whose files are dropped into the inbox."""

    @property
    def recipe(self) -> Recipe:
        sources = [{"name": name, "lang": lang} for name, lang in self.langs.items()]
        raw = {"name": self.name, "sources": sources, **self.sections}
        return parse_recipe(raw, where="edits.yaml", folder=self.folder / "data")

    def drop(self, store: Store) -> None:
        """Put the files into the inbox of a data root, some in a folder of their own."""
        origin = open_origin(store.layout.root)
        for source in self.langs:
            name = (
                f"{source}/20260101/b.jsonl" if source == "eng_web" else f"{source}@20260101.jsonl"
            )
            file, target = self.folder / "data" / source / "b.jsonl", store.layout.inbox / name
            if origin is not None:
                origin.bucket.send(file, f"inbox/{self.name}/{name}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


@pytest.fixture(scope="module", params=PROTOCOLS)
def objects(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    with served(request.param) as store:
        yield store


@pytest.fixture(scope="module")
def built(
    objects: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> tuple[InboxWorld, str, Store]:
    """A corpus that one machine built in the store."""
    folder = tmp_path_factory.mktemp("world")
    world, url = InboxWorld(folder, LocalEngine(1)), objects.url("corpus")
    world.fill(8)
    here = on_machine(folder / "here", url, world.name)
    world.drop(here)
    bring_up_to_date(world.builder(here))
    return world, url, here


def test_a_store_and_a_folder_hold_the_same_bytes(built: tuple[InboxWorld, str, Store]) -> None:
    world, _, here = built
    local = Store(Layout(world.folder / "local", world.name))
    world.drop(local)
    bring_up_to_date(world.builder(local))
    found, expected = versions_of(world.builder(here)), versions_of(world.builder(local))
    assert found == expected
    assert len(found) == 3 * len(DUMP_ASSETS) + len(CORPUS_ASSETS)


def test_another_machine_finds_all_and_fetches_what_new_work_reads(
    built: tuple[InboxWorld, str, Store], objects: ObjectStore, tmp_path: Path
) -> None:
    world, url, here = built
    there = on_machine(tmp_path, url, world.name)
    objects.requests.clear()
    bring_up_to_date(world.builder(there))
    assert versions_of(world.builder(there)) == versions_of(world.builder(here))
    assert not objects.fetched(".parquet")
    world.sections["packing"] = {"seq_len": 32}
    try:
        build_corpus(world.builder(there), ["packed_shards"])
    finally:
        world.sections["packing"] = {"seq_len": 64}
    fetched = {path.split("/artifacts/")[1].split("/")[0] for path in objects.fetched("/part-")}
    assert "tokenized_documents_of_dump" in fetched
    assert not fetched & {"raw_documents", "normalized_documents", "minhash_signatures"}


def test_copies_are_bounded_and_none_that_a_run_uses_goes(
    built: tuple[InboxWorld, str, Store], tmp_path: Path
) -> None:
    world, url, here = built
    there = on_machine(tmp_path, url, world.name)
    builder = world.builder(there)
    bring_up_to_date(builder)
    assert builder.build("packed_shards").path.is_dir()
    root, origin = there.layout.root, origin_url(there.layout.root)
    for since_s, is_kept in ((0.0, True), (float("inf"), False)):
        limits = Limits(since_s, None, origin=origin)
        verdicts = judge(list_folders(root), PIPELINE, {world.name: [builder]}, limits)
        assert {one.stays for one in verdicts if one.folder.kind != "unfinished"} == {is_kept}
    assert all(clear(root, one.folder) for one in verdicts)
    forget_cleared(root)
    assert not list(root.glob("artifacts/*/*/*"))
    again = world.builder(there)
    assert versions_of(again) == versions_of(world.builder(here))
    assert again.build("packed_shards").path.is_dir()


def test_a_dump_in_the_inbox_of_the_store_is_known_by_its_bytes_and_watched(
    built: tuple[InboxWorld, str, Store], objects: ObjectStore, tmp_path: Path
) -> None:
    world, _, _ = built
    store = on_machine(tmp_path, objects.url("inbox"), world.name)
    origin, dump = open_origin(store.layout.root), DumpKey("eng_news@20260101")
    assert origin is not None
    world.drop(store)
    before = world.builder(store).dumps.versions
    name = f"inbox/{world.name}/{dump}.jsonl"
    data = origin.bucket.read(name)
    assert data
    origin.bucket.write(name, data)
    builder = world.builder(store)
    # Azure gives them another ETag.
    assert (builder.dumps.versions == before) == (objects.protocol != "az"), "the same bytes"
    before = builder.dumps.versions
    origin.bucket.write(f"inbox/{world.name}/readme.md", b"?")
    origin.bucket.write(name, data + data)
    assert world.builder(store).dumps.versions[dump] != before[dump]
    with pytest.raises(DumpError, match="not those that the catalog found"):
        builder.build("raw_documents", dump)


def test_files_of_one_machine_are_not_registered_for_all(
    built: tuple[InboxWorld, str, Store], tmp_path: Path
) -> None:
    world, _, here = built
    file = world.folder / "data" / "eng_news" / "b.jsonl"
    with pytest.raises(
        DumpError, match=r"on this machine alone.*put it into [a-z0-9]+://.*/inbox/edits"
    ):
        add_dump(world.recipe, here.layout, source="eng_news", date="20260303", files=[file])


def test_a_page_that_one_machine_wrote_is_handed_out_by_another(
    built: tuple[InboxWorld, str, Store], tmp_path: Path
) -> None:
    world, url, here = built
    place = world.builder(here).build("packed_shards").place
    write_page(here.layout.root, place, {"num_rows": 7})
    there = on_machine(tmp_path, url, world.name)
    page = read_page(f"{place}.html", there.layout.root)
    assert page is not None
    assert b"packed_shards" in page
    assert (
        read_page(f"{place[:-1]}{(int(place[-1], 16) + 1) % 16:x}.html", there.layout.root) is None
    )


def test_the_command_line_takes_a_url(
    built: tuple[InboxWorld, str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url, here = built
    monkeypatch.setenv("TONSAI_CACHE", str(here.layout.root.parent))
    result = CliRunner().invoke(app, ["dumps", "scan", "--home", url])
    assert result.exit_code == 0, result.output
    assert f"inbox: {url}/inbox/demo" in result.output
