"""A data root in an object store: what two machines see of it, and what becomes of it when something breaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.errors import ManifestError, StorageError
from tonsai_pipeline.storage import origin as module
from tonsai_pipeline.storage.bucket import Bucket
from tonsai_pipeline.storage.data_root import open_root
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.manifest import MANIFEST_NAME, verify_files
from tonsai_pipeline.storage.origin import open_origin
from tonsai_pipeline.storage.registry import AddedDump, Registry, change_registry, read_registry
from tonsai_pipeline.storage.space import clear, list_folders
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.object_store import PROTOCOLS, ObjectStore, on_machine, served

KEY = "a" * 64


@pytest.fixture(scope="module", params=PROTOCOLS)
def objects(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    with served(request.param) as store:
        yield store


@pytest.fixture
def url(objects: ObjectStore, request: pytest.FixtureRequest) -> str:
    objects.requests.clear()
    return objects.url("root")


@pytest.fixture
def here(url: str, tmp_path: Path) -> Store:
    """A machine."""
    return on_machine(tmp_path / "here", url)


@pytest.fixture
def there(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Another machine with the same data root and an empty disk."""
    monkeypatch.setattr(module, "_FRESH_S", 0.0)
    return on_machine(tmp_path / "there", url)


class Work:
    """Writes two files, and counts how often it does."""

    def __init__(self, text: str = "text") -> None:
        self.text, self.num_done = text, 0

    def __call__(self, folder: Path) -> dict[str, int]:
        self.num_done += 1
        (folder / "sub").mkdir(exist_ok=True)
        (folder / "part-0.parquet").write_text(self.text)
        (folder / "sub" / "part-1.parquet").write_text(self.text * 2)
        (folder / "empty").write_bytes(b"")
        return {"num_documents": len(self.text)}


def make(store: Store, work: Any, key: str = KEY, **options: Any) -> Artifact:
    return store.materialize(
        "asset", None, key, work, stage_version="1", settings={}, inputs={}, **options
    )


def refuse(_: Path) -> dict[str, int]:
    raise AssertionError("this is made already")


def key_of(artifact: Artifact, name: str) -> str:
    return f"artifacts/{artifact.place}/{artifact.data_version[:16]}/{name}"


def test_the_bytes_are_those_of_a_folder(here: Store, store: Store) -> None:
    work = Work()
    ours, theirs = make(here, work), make(store, work)
    assert ours.manifest == theirs.manifest
    assert (ours.path / MANIFEST_NAME).read_bytes() == (theirs.path / MANIFEST_NAME).read_bytes()
    assert make(here, refuse).cached


def test_another_machine_finds_everything_and_fetches_what_it_opens(
    here: Store, there: Store, objects: ObjectStore
) -> None:
    made = make(here, Work())
    make(here, Work("other"), "b" * 64)
    objects.requests.clear()
    found = make(there, refuse)
    assert found.cached
    assert there.find("asset", None, "b" * 64) is not None
    assert not objects.fetched(".parquet")
    assert found.file("sub/part-1.parquet").read_text() == "texttext"
    assert [path.name for path in found.parts()] == ["part-0.parquet"]
    verify_files(found.path, made.manifest)
    # One file alone, then the three (an empty one twice in Azure) and the timings; nothing of the other result.
    assert len(set(objects.fetched(made.data_version[:16]))) == 3 + 1
    assert len(objects.fetched("part-")) == 1 + 2
    assert there.current("asset").data_version == made.data_version
    assert there.current("asset").timings == made.timings


def test_what_one_machine_makes_current_is_current_on_the_other(here: Store, there: Store) -> None:
    first = make(here, Work())
    assert there.current("asset").data_version == first.data_version
    assert here.is_current("asset", None, first)
    second = make(there, Work("other"), "b" * 64)
    assert not here.is_current("asset", None, first)
    assert here.current("asset").data_version == second.data_version


@pytest.mark.parametrize("text", ["text", "other bytes"])
def test_of_two_machines_at_the_same_work_the_first_manifest_counts(
    here: Store, there: Store, text: str
) -> None:
    faster = []

    def work(folder: Path) -> dict[str, int]:
        faster.append(make(there, Work("text")))
        return Work(text)(folder)

    slower = make(here, work)
    assert slower.manifest == faster[0].manifest
    assert slower.cached == (text != "text")
    verify_files(slower.path, faster[0].manifest)
    assert here.current("asset").data_version == faster[0].data_version
    assert not list(here.layout.root.glob("building/asset/*/*/"))


def test_the_manifest_of_the_faster_counts_when_both_sent_their_files(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, faster = Bucket.create, []

    def late(bucket: Bucket, key: str, data: bytes) -> bool:
        monkeypatch.setattr(Bucket, "create", create)
        faster.append(make(there, Work("faster")))
        return create(bucket, key, data)

    monkeypatch.setattr(Bucket, "create", late)
    slower = make(here, Work("slower"))
    assert slower.manifest == faster[0].manifest
    assert slower.parts()[0].read_text() == "faster"


@pytest.mark.parametrize("last", ["part-0.parquet", "sub/part-1.parquet", MANIFEST_NAME])
def test_a_process_killed_while_it_sends_goes_on_and_sends_nothing_twice(
    here: Store, there: Store, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    send, create = Bucket.send, Bucket.create

    def die(bucket: Bucket, what: Any, *more: Any) -> Any:
        if str(what).endswith(last):
            raise KeyboardInterrupt
        done = send if isinstance(what, Path) else create
        return done(bucket, what, *more)

    monkeypatch.setattr(module, "_NUM_THREADS", 1)
    monkeypatch.setattr(Bucket, "send", die)
    monkeypatch.setattr(Bucket, "create", die)
    with pytest.raises(KeyboardInterrupt):
        make(here, Work())
    monkeypatch.undo()
    assert there.find("asset", None, KEY) is None
    assert not list(here.layout.root.glob("artifacts/*/*/*"))
    sent = set(objects.sent(".parquet"))
    objects.requests.clear()
    artifact = make(here, refuse)
    assert not sent & set(objects.sent(".parquet"))
    assert make(there, refuse).manifest == artifact.manifest


def fetch_and_die(found: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed before it has the last file."""
    fetch = Bucket.fetch

    def die(bucket: Bucket, key: str, path: Path) -> bool:
        if "part-1" in key:
            raise KeyboardInterrupt
        return fetch(bucket, key, path)

    with monkeypatch.context() as killed:
        killed.setattr(module, "_NUM_THREADS", 1)
        killed.setattr(Bucket, "fetch", die)
        with pytest.raises(KeyboardInterrupt):
            _ = found.path


def test_a_process_killed_while_it_fetches_goes_on(
    here: Store, there: Store, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, found = make(here, Work()), make(there, refuse)
    fetch_and_die(found, monkeypatch)
    assert not found.folder.exists()
    objects.requests.clear()
    verify_files(found.path, made.manifest)
    assert len(objects.fetched("part-")) == 1


def spoil(bucket: Bucket, key: str, how: str) -> None:
    data = bucket.read(key)
    assert data
    if how == "gone":
        bucket.remove(key)
    else:
        bucket.write(key, data[:-3] if how == "truncated" else b"\0" * len(data))


@pytest.mark.parametrize("how", ["truncated", "other bytes", "gone"])
def test_a_damaged_object_is_named_and_made_anew(here: Store, there: Store, how: str) -> None:
    made, origin = make(here, Work()), open_origin(here.layout.root)
    assert origin is not None
    spoil(origin.bucket, key_of(made, "sub/part-1.parquet"), how)
    found = make(there, refuse)
    with pytest.raises(
        ManifestError, match=rf"{origin.bucket.url}.*{made.data_version[:16]}/sub/part-1.parquet"
    ):
        _ = found.path
    assert there.find("asset", None, KEY) is None
    assert not found.folder.exists()
    work = Work()
    verify_files(make(there, work).path, made.manifest)
    assert work.num_done == 1
    shutil.rmtree(here.layout.root / "artifacts")
    verify_files(make(here, refuse).path, made.manifest)


@pytest.mark.parametrize("how", ["other bytes", "gone"])
def test_all_damaged_at_once_is_one_error(here: Store, there: Store, how: str) -> None:
    made, origin = make(here, Work()), open_origin(here.layout.root)
    assert origin is not None
    for name in ("part-0.parquet", "sub/part-1.parquet"):
        spoil(origin.bucket, key_of(made, name), how)
    with pytest.raises(ManifestError, match="run again"):
        _ = make(there, refuse).path
    verify_files(make(there, Work()).path, made.manifest)
    shutil.rmtree(here.layout.root / "artifacts")
    verify_files(make(here, refuse).path, made.manifest)


def test_threads_may_find_and_forget_a_result_at_once(here: Store, there: Store) -> None:
    made, origin = make(here, Work()), open_origin(there.layout.root)
    assert origin is not None

    def ask(_: int) -> None:
        origin._forget(made.place)
        found = origin.find(made.place)
        assert found == made.manifest

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(100)))


def test_what_was_fetched_of_an_older_result_is_not_taken_for_the_new_one(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here, Work("old!"))
    found = make(there, refuse)
    fetch_and_die(found, monkeypatch)
    assert found.file("part-0.parquet").read_text() == "old!"
    new = make(here, Work("new!"), force=True)
    (there.layout.root / "fetched" / new.place / MANIFEST_NAME).unlink()
    again = make(there, refuse)
    assert again.file("part-0.parquet").read_text() == "new!"
    verify_files(again.path, new.manifest)


def test_what_replaced_a_result_is_not_taken_out_with_it(here: Store, there: Store) -> None:
    old, origin = make(here, Work()), open_origin(here.layout.root)
    assert origin is not None
    found = make(there, refuse)
    new = make(here, Work("new"), force=True)
    spoil(origin.bucket, key_of(old, "part-0.parquet"), "gone")
    with pytest.raises(ManifestError, match="run again"):
        _ = found.path
    assert make(there, refuse).path.joinpath("part-0.parquet").read_text() == "new"
    assert make(there, refuse).manifest == new.manifest


def test_a_manifest_cut_short_counts_as_none(here: Store, there: Store) -> None:
    made, origin = make(here, Work()), open_origin(here.layout.root)
    assert origin is not None
    spoil(origin.bucket, f"artifacts/{made.place}/{MANIFEST_NAME}", "truncated")
    work = Work()
    assert make(there, work).manifest == made.manifest
    assert work.num_done == 1


def test_a_store_that_is_away_is_an_error_that_keeps_the_work(
    here: Store, there: Store, objects: ObjectStore
) -> None:
    if objects.protocol != "s3":
        pytest.skip("its package tries for half a minute and more")
    work = Work()

    def last(folder: Path) -> dict[str, int]:
        report = work(folder)
        objects.stop()
        return report

    with pytest.raises(
        StorageError, match=rf"{objects.protocol}://.*the store said no, or nothing"
    ):
        make(here, last)
    objects.start()
    assert there.find("asset", None, KEY) is None
    assert not make(there, Work("other bytes")).cached
    # What was made here is whole, but another machine was faster.
    assert make(here, refuse).parts()[0].read_text() == "other bytes"


def test_force_replaces_what_the_store_has(here: Store, there: Store) -> None:
    old = make(here, Work())
    new = make(here, Work("other"), force=True)
    assert new.data_version != old.data_version
    assert make(there, refuse).manifest == new.manifest


def test_a_copy_may_go_and_comes_back_when_it_is_opened(here: Store) -> None:
    made = make(here, Work())
    folders = list_folders(here.layout.root)
    assert [folder.kind for folder in folders] == ["artifact"]
    assert clear(here.layout.root, folders[0])
    assert not made.folder.exists()
    verify_files(make(here, refuse).path, made.manifest)


def test_a_damaged_copy_is_fetched_again(here: Store) -> None:
    made = make(here, Work())
    (made.folder / "part-0.parquet").write_text("cut")
    assert here.current("asset").parts()[0].read_text() == "text"


def test_places_that_cannot_keep_two_machines_apart_are_refused(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONSAI_CACHE", str(tmp_path))
    for place in ("memory://root", "ftp://host/root"):
        with pytest.raises(StorageError, match=r"known are: s3, "):
            open_root(place)
    with pytest.raises(StorageError, match=r"\*\*\*@.*environment"):
        open_root("s3://me:secret@host/root")
    with pytest.raises(StorageError, match=r"bucket does not exist"):
        open_root(f"{objects.protocol}://nowhere/root")
    if objects.protocol != "az":  # there the condition is signed
        monkeypatch.setattr(objects, "ignores_conditions", True)
        with pytest.raises(StorageError, match=r"ignores conditions"):
            open_root(objects.url("root"))
    assert not list(tmp_path.glob("*"))


def test_a_url_is_one_folder_a_machine_and_a_folder_is_itself(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONSAI_CACHE", str(tmp_path))
    assert open_root(url) == open_root(f"{url}/") != open_root(f"{url}2")
    assert read_json(open_root(url) / "origin.json") == {"url": url}
    assert open_root("some/folder") == Path("some/folder")
    assert open_origin(tmp_path) is None


def test_two_machines_that_register_dumps_at_once_lose_none(here: Store, there: Store) -> None:
    change_registry(here.layout, lambda registry: registry.switch("news@20260101", is_on=False))
    num_tries = 0

    def change(registry: Registry) -> Registry:
        nonlocal num_tries
        num_tries += 1
        if num_tries == 1:
            dump = AddedDump("web", "20260202", "s3://bucket/web")
            change_registry(there.layout, lambda theirs: theirs.add(dump))
        return registry.add(AddedDump("wiki", "20260303", "s3://bucket/wiki"))

    change_registry(here.layout, change)
    assert num_tries == 2
    found = read_registry(there.layout)
    assert [dump.source for dump in found.added] == ["web", "wiki"]
    assert found.off == ("news@20260101",)
    assert read_registry(Layout(here.layout.root, "other")) == Registry()


def test_names_that_lead_out_of_the_data_root_are_not_followed(here: Store, there: Store) -> None:
    made, origin = make(here, Work()), open_origin(here.layout.root)
    assert origin is not None
    key = f"artifacts/{made.place}/{MANIFEST_NAME}"
    told = origin.bucket.read(key) or b""
    origin.bucket.write(key, told.replace(b'"sub/part-1.parquet"', b'"../../../../../out"'))
    with pytest.raises(ManifestError, match="names files elsewhere"):
        make(there, Work())
    if not here.layout.root.name.startswith("az-"):  # whose client follows them itself
        origin.bucket.write("current/test/../../../out.json", b"{}")
    assert "../../../out.json" not in origin.bucket.list("current/test")
