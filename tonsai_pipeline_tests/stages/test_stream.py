"""Dumps larger than the disk: the bytes of a dump that is kept, of which few are on the disk at a time."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import fsspec
import huggingface_hub
import pytest

from tonsai_pipeline.catalog.catalog import find_dumps
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DumpError, RecipeError, StorageError
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.pipeline import open_builder, view_of
from tonsai_pipeline.recipe import Recipe, parse_recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.stream import stage
from tonsai_pipeline.storage.dumps import fetch
from tonsai_pipeline.storage.dumps.stored import ask_store
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests import object_store
from tonsai_pipeline_tests.crash import assert_survives_kills
from tonsai_pipeline_tests.web_server import WebServer, serving

KEY = DumpKey("khm_web@20261101")
NAMES = [f"{index}.jsonl.gz" for index in range(6)]
PART_BYTES = 40_000


def contents() -> dict[str, bytes]:
    """Return files of 60 documents and a broken row each, larger than a group of small ones may be."""
    files = {}
    for index, name in enumerate(NAMES):
        # Digits of which compression takes away half.
        noise = [hashlib.shake_256(f"{index} {row}".encode()).hexdigest(500) for row in range(60)]
        rows = [
            json.dumps({"text": f"ភាសាខ្មែរ\u17d2\u178a {row} {noise[row]}"}) for row in range(60)
        ]
        rows.insert(30, '{"text": "cut')
        files[name] = gzip.compress("\n".join(rows).encode(), mtime=0)
    return files


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving(contents()) as running:
        yield running


def recipe_of(paths: list[str], **settings: Any) -> Recipe:
    source = {
        "name": "khm_web",
        "lang": "khm",
        "path": paths,
        "date": "20261101",
        "keep_raw": False,
    }
    sections = {name: settings.pop(name) for name in ("normalize",) if name in settings}
    return parse_recipe(
        {
            "name": "test",
            "sources": [source | settings],
            "ingest": {"part_bytes": PART_BYTES, "max_document_bytes": 10_000},
            **sections,
        },
        where="test",
        folder=Path("/"),
    )


def open_recipe(
    store: Store, recipe: Recipe, data: Path, *, engine: Engine | None = None
) -> Builder:
    catalog = find_dumps(recipe, store.layout, data)
    return open_builder(recipe, store, view_of(catalog), engine=lambda: engine or LocalEngine(1))


def build(
    store: Store, recipe: Recipe, data: Path, asset: str = "normalized_documents"
) -> Artifact:
    return open_recipe(store, recipe, data).build(asset, KEY)


def urls(server: WebServer) -> list[str]:
    return [server.url(name) for name in NAMES]


def local(folder: Path, files: dict[str, bytes], host: str = "127.0.0.1") -> Recipe:
    """Write the files as `wget -r` would, and return a recipe that keeps their text."""
    (folder / host).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / host / name).write_bytes(data)
    return recipe_of([host], keep_raw=True)


def test_a_streamed_dump_has_the_documents_of_a_local_one_and_few_bytes_on_the_disk(
    server: WebServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = store.layout.root / "building" / "streamed_documents"
    seen: list[int] = []
    normalize_part = stage.normalize.normalize_part

    def look(*_: object) -> None:
        kept = [*streamed.glob("*/*/.fetched/*/*"), *streamed.glob("*/*/raw/part-*")]
        seen.append(sum(path.stat().st_size for path in kept))

    def looking(*given: Any) -> Any:
        look()
        return normalize_part(*given)

    server.on_get = look
    monkeypatch.setattr(stage.normalize, "normalize_part", looking)
    made = build(store, recipe_of(urls(server)), tmp_path)
    raw = store.current("raw_documents", KEY)
    kept = Store(Layout(tmp_path / "kept", "test"))
    expected = build(kept, local(tmp_path, server.files), tmp_path)
    assert made.data_version == expected.data_version
    assert made.manifest.files == expected.manifest.files
    assert len(made.parts()) > len(NAMES)
    assert raw.report == kept.current("raw_documents", KEY).report
    assert (raw.parts(), len(raw.parts("quarantine"))) == ([], len(NAMES))
    largest, total = max(map(len, server.files.values())), sum(map(len, server.files.values()))
    assert largest < max(seen) <= largest + PART_BYTES < total / 2
    assert not list(store.layout.root.rglob(".fetched"))
    fetched = store.find("streamed_documents", KEY, _inner_key(store)).report["fetched"]  # type: ignore[union-attr]
    assert [file["sha256"] for file in fetched] == [
        hashlib.sha256(data).hexdigest() for data in server.files.values()
    ]
    assert [server.num_sent(name) for name in NAMES] == list(map(len, server.files.values()))


def _inner_key(store: Store) -> str:
    [manifest] = store.layout.root.glob("artifacts/streamed_documents/*/*/manifest.json")
    return str(json.loads(manifest.read_text())["fingerprint"])


@pytest.mark.slow
@pytest.mark.parametrize("protocol", object_store.PROTOCOLS)
def test_a_dump_in_an_object_store_has_them_too(protocol: str, tmp_path: Path) -> None:
    files = contents()
    with object_store.served(protocol) as running:
        for name, data in files.items():
            fsspec.filesystem(protocol).pipe_file(f"{running.bucket}/km/{name}", data)
        pattern = f"{protocol}://{running.bucket}/km/*.jsonl.gz"
        store = Store(Layout(tmp_path / "home", "test"))
        made = build(store, recipe_of([pattern]), tmp_path)
        host = f"{running.bucket}/km"
    kept = Store(Layout(tmp_path / "kept", "test"))
    expected = build(kept, local(tmp_path, files, host), tmp_path)
    assert made.manifest.files == expected.manifest.files


def test_another_normalization_fetches_again_and_an_old_one_does_not(
    server: WebServer, store: Store, tmp_path: Path
) -> None:
    first = build(store, recipe_of(urls(server)), tmp_path)
    server.sent.clear()
    assert build(store, recipe_of(urls(server)), tmp_path).data_version == first.data_version
    assert server.sent == []
    other = recipe_of(urls(server), normalize={"coeng_da": "preserve"})
    assert build(store, other, tmp_path).data_version != first.data_version
    assert len(server.sent) == len(NAMES)


def test_a_file_that_is_gone_stops_what_is_new_and_nothing_that_is_made(
    server: WebServer, store: Store, tmp_path: Path
) -> None:
    recipe = recipe_of(urls(server))
    first = build(store, recipe, tmp_path)
    del server.files[NAMES[3]]
    server.sent.clear()
    [problem] = find_dumps(recipe, store.layout, tmp_path).problems
    assert f"{server.url(NAMES[3])}: cannot be asked" in problem
    assert "404" in problem
    assert build(store, recipe, tmp_path).data_version == first.data_version
    assert server.sent == []
    other = recipe_of(urls(server), normalize={"coeng_da": "preserve"})
    with pytest.raises(StorageError, match=r"3\.jsonl\.gz: is gone; bring it back"):
        build(store, other, tmp_path)


def test_a_file_that_changed_is_a_new_version_and_is_named(
    server: WebServer, store: Store, tmp_path: Path
) -> None:
    recipe = recipe_of(urls(server))
    first = build(store, recipe, tmp_path)
    server.files[NAMES[2]] = server.files[NAMES[0]]
    [problem] = find_dumps(recipe, store.layout, tmp_path).problems
    assert f"{server.url(NAMES[2])}: is another file than before" in problem
    assert build(store, recipe, tmp_path).data_version != first.data_version


def test_a_file_that_changes_between_the_catalog_and_its_turn_is_an_error(
    server: WebServer, store: Store, tmp_path: Path
) -> None:
    recipe = recipe_of(urls(server))

    def change(name: str, _start: int) -> None:
        if name == NAMES[1]:
            server.files[NAMES[1]] = server.files[NAMES[2]] = server.files[NAMES[0]]

    server.on_get = change
    builder = open_recipe(store, recipe, tmp_path)
    with pytest.raises(StorageError, match=r"1\.jsonl\.gz: is another file than the catalog found"):
        builder.build("normalized_documents", KEY)
    server.on_get = lambda _name, _start: None
    assert build(store, recipe, tmp_path).report["num_documents"] == 60 * len(NAMES)


def test_a_broken_network_is_gone_on_from_and_then_is_an_error(
    server: WebServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS_S", (0.0, 0.0))
    monkeypatch.setattr(fetch, "_BLOCK_BYTES", 20_000)
    recipe = recipe_of(urls(server))
    server.faults = [("", 0), ("cut", 700), ("status", 503), ("", 0), ("cut", 0), ("status", 503)]
    made = build(store, recipe, tmp_path)
    expected = local(tmp_path, server.files)
    kept = Store(Layout(tmp_path / "kept", "test"))
    assert made.manifest.files == build(kept, expected, tmp_path).manifest.files
    assert server.num_sent(NAMES[0]) == len(server.files[NAMES[0]]) + 700
    other = recipe_of(urls(server), normalize={"coeng_da": "preserve"})
    server.faults = [("", 0), *[("status", 503)] * 9]
    with pytest.raises(
        StorageError,
        match=r"after 20,000 bytes of \d+, also at try 3: .*503.*it goes on from there",
    ):
        build(store, other, tmp_path)
    server.faults, start = [], len(server.sent)
    build(store, other, tmp_path)
    assert server.sent[start][1] == 20_000, "it went on behind the bytes that it had"


def test_a_connection_that_never_gives_a_whole_range_gives_the_file(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(fetch, "_BLOCK_BYTES", 20_000)
    monkeypatch.setattr(fetch, "_LEAST_BLOCK_BYTES", 1_000)
    url, data = server.url(NAMES[0]), server.files[NAMES[0]]
    server.faults = [("cut", 3_000)] * len(data)
    found = fetch.fetch(url, tmp_path / "copy", ask_store(url))
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "copy").read_bytes() == data


def test_a_server_without_ranges_is_read_from_the_beginning(
    server: WebServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS_S", (0.0, 0.0))
    monkeypatch.setattr(fetch, "_BLOCK_BYTES", 20_000)
    server.has_ranges = False
    server.faults = [("", 0), ("cut", 30_000)]
    made = build(store, recipe_of(urls(server)), tmp_path)
    kept = Store(Layout(tmp_path / "kept", "test"))
    expected = build(kept, local(tmp_path, server.files), tmp_path)
    assert made.manifest.files == expected.manifest.files


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    server: WebServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        StorageError, match=r"at most \d+ kB .* with 1 workers, and 100 kB are free"
    ):
        build(store, recipe_of(urls(server)), tmp_path)
    assert server.sent == []


def test_files_on_this_disk_are_read_where_they_lie(
    server: WebServer, store: Store, tmp_path: Path
) -> None:
    kept = local(tmp_path, server.files)
    made = build(store, recipe_of(["127.0.0.1"]), tmp_path)
    expected = build(Store(Layout(tmp_path / "kept", "test")), kept, tmp_path)
    assert made.manifest.files == expected.manifest.files
    assert (tmp_path / "127.0.0.1" / NAMES[0]).is_file()


def test_a_data_set_of_the_hub_is_read_file_by_file_at_the_commit_that_its_branch_names(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [f"memory://hub/{name}" for name in NAMES]
    for url, data in zip(files, contents().values(), strict=True):
        fsspec.open(url, "wb").open().write(data)  # pyright: ignore[reportAttributeAccessIssue]
    asked: list[Any] = []

    def builder(*given: Any, revision: str) -> Any:
        asked.append((*given, revision))
        return SimpleNamespace(config=SimpleNamespace(data_files={"train": files}))

    commit = SimpleNamespace(dataset_info=lambda *_, **__: SimpleNamespace(sha="a" * 40))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: commit)
    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    recipe = recipe_of([], path=None, hub={"id": "org/data", "config": "khm"})
    assert build(store, recipe, tmp_path).report["num_documents"] == 60 * len(NAMES)
    find_dumps(recipe, store.layout, tmp_path)
    assert asked == [("org/data", "khm", "a" * 40)]
    other = recipe_of([], path=None, hub={"id": "org/data", "split": "tset"})
    with pytest.raises(DumpError, match=r"has no files of that split; splits with files: train"):
        find_dumps(other, store.layout, tmp_path)


def test_rows_of_a_hub_data_set_cannot_be_counted_where_its_files_are_read() -> None:
    with pytest.raises(RecipeError, match="max_documents"):
        recipe_of([], path=None, hub={"id": "org/data", "max_samples": 3})


def run_streamed(store: Store, data: str, *addresses: str) -> Artifact:
    """What the killed process does."""
    return build(store, recipe_of(list(addresses)), Path(data))


@pytest.mark.slow
def test_a_run_killed_at_any_file_it_writes_fetches_no_finished_file_again(
    server: WebServer, tmp_path: Path
) -> None:
    assert_survives_kills(
        "tonsai_pipeline_tests.stages.test_stream:run_streamed",
        [str(tmp_path), *urls(server)],
        tmp_path,
        kills=[4, 9],
        at_least=4,
    )
    # The run that nobody disturbed, and all of the others together.
    assert [server.num_sent(name) for name in NAMES] == [
        2 * len(data) for data in server.files.values()
    ]
