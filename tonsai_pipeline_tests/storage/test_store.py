from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import ManifestError, StorageError
from tonsai_pipeline.storage import store as module
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.store import Artifact, Store


@dataclass(frozen=True)
class Report:
    num_documents: int


class Work:
    """A piece of work that counts how often it was done."""

    def __init__(self, text: str = "x") -> None:
        self.text = text
        self.num_done = 0

    def __call__(self, folder: Path) -> Report:
        self.num_done += 1
        (folder / "part-0.parquet").write_text(self.text)
        (folder / "sub").mkdir(exist_ok=True)
        (folder / "sub" / "part-1.parquet").write_text(self.text)
        return Report(len(self.text))


def make(store: Store, work: Any, **changes: Any) -> Artifact:
    options = {"stage_version": "1", "settings": {"a": 1}, "inputs": {"in": "v"}, **changes}
    partition = options.pop("partition", None)
    decide = [options[name] for name in ("stage_version", "settings", "inputs")]
    key = fingerprint("asset", partition, *decide)
    return store.materialize("asset", partition, key, work, **options)


def test_work_is_done_once_and_then_found(store: Store) -> None:
    work = Work()
    first, second = make(store, work), make(store, work)
    assert work.num_done == 1
    assert (first.cached, second.cached) == (False, True)
    assert first.path == second.path
    assert first.data_version == second.data_version
    assert second.report == {"num_documents": 1}
    assert [path.name for path in second.parts("sub")] == ["part-1.parquet"]
    assert second.timings is not None
    assert second.timings["peak_memory_bytes"] > 1 << 20


@pytest.mark.parametrize(
    "change",
    [
        {"stage_version": "2"},
        {"settings": {"a": 2}},
        {"inputs": {"in": "w"}},
        {"partition": "news@20261101"},
    ],
)
def test_any_change_of_what_decides_the_work_is_new_work_beside_the_old(
    store: Store, change: dict[str, Any]
) -> None:
    work = Work()
    first = make(store, work)
    other = make(store, work, **change)
    assert work.num_done == 2
    assert first.path.is_dir()
    assert other.path != first.path
    assert make(store, work).cached


def test_equal_bytes_and_reports_are_the_same_data_version_whatever_made_them(
    store: Store,
) -> None:
    first = make(store, Work("x"))
    same = make(store, Work("x"), stage_version="2")
    other = make(store, Work("y"), stage_version="3")
    assert first.data_version == same.data_version != other.data_version


def test_another_report_about_the_same_files_is_another_data_version(store: Store) -> None:
    def telling(number: int) -> Any:
        return lambda folder: (Work("x")(folder), {"n": number})[1]

    versions = {
        make(store, telling(number), stage_version=str(number)).data_version for number in (1, 2)
    }
    assert len(versions) == 2


def test_finding_does_no_work_and_finds_by_key_alone(store: Store) -> None:
    first = make(store, Work("x"))
    make(store, Work("y"), settings={"a": 2})
    key = first.manifest.fingerprint
    found = store.find("asset", None, key)
    assert found is not None
    assert (found.path, found.data_version) == (first.path, first.data_version)
    assert store.find("asset", None, "0" * 64) is None
    assert store.find("asset", None, key[:16] + "0" * 48) is None
    assert store.find("asset", "news@20261101", key) is None
    (first.path / "part-0.parquet").unlink()
    assert store.find("asset", None, key) is None
    assert not list(store.layout.root.glob("building/asset/all/0000*"))


def test_the_current_result_is_the_last_one_asked_for(store: Store) -> None:
    first = make(store, Work("x"))
    second = make(store, Work("y"), settings={"a": 2})
    assert store.current("asset").path == second.path
    make(store, Work("x"))
    assert store.current("asset").path == first.path


def test_what_was_never_made_says_what_to_run(store: Store) -> None:
    with pytest.raises(
        ManifestError,
        match=r"asset\[news@20261101\]: not materialized yet.*tonsai run --select asset",
    ):
        store.current("asset", "news@20261101")


def test_a_damaged_result_is_made_again(store: Store) -> None:
    work = Work()
    first = make(store, work)
    (first.path / "part-0.parquet").unlink()
    again = make(store, work)
    assert (work.num_done, again.cached, again.data_version) == (2, False, first.data_version)


def test_force_does_finished_work_again(store: Store) -> None:
    work = Work()
    make(store, work)
    assert not make(store, work, force=True).cached
    assert work.num_done == 2
    assert make(store, work).cached


def test_failed_work_leaves_nothing_published_and_its_parts_for_the_next_call(store: Store) -> None:
    def failing(folder: Path) -> Report:
        (folder / "part-0.parquet").write_text("x")
        raise RuntimeError("no")

    seen: list[list[str]] = []

    def second(folder: Path) -> Report:
        seen.append([path.name for path in folder.iterdir()])
        return Work()(folder)

    with pytest.raises(RuntimeError, match="no"):
        make(store, failing)
    assert not list(store.layout.root.glob("artifacts/**/manifest.json"))
    make(store, second)
    assert seen == [["part-0.parquet"]]


def test_nothing_hidden_is_published(store: Store, engine: Engine) -> None:
    def work(folder: Path) -> Report:
        map_parts(engine, _write, [Part("a", "a")], folder=folder, label="write")
        (folder / "sub").mkdir()
        (folder / "sub" / ".tmp-99-part").write_text("left behind by a killed worker")
        return Report(1)

    artifact = make(store, work)
    found = sorted(path.name for path in artifact.path.rglob("*") if path.is_file())
    assert found == ["a.txt", "manifest.json", "timings.json"]


def _write(payload: str, folder: Path) -> dict[str, int]:
    (folder / f"{payload}.txt").write_text(payload)
    return {}


@pytest.mark.parametrize("at", ["write_manifest", "_move"])
def test_a_process_killed_while_publishing_loses_no_finished_part(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def work(folder: Path) -> Report:
        parts = [Part("a", "a"), Part("b", "b")]
        map_parts(engine, _write, parts, folder=folder, label="write")
        return Report(2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, at, killed)
        with pytest.raises(KeyboardInterrupt):
            make(store, work)
    written = {path.name: path.stat().st_mtime_ns for path in store.layout.root.rglob("*.txt")}
    assert len(written) == 2
    artifact = make(store, work)
    assert {path.name: path.stat().st_mtime_ns for path in artifact.path.glob("*.txt")} == written


def test_two_callers_of_the_same_work_wait_for_each_other(store: Store) -> None:
    work = Work()
    threads = [threading.Thread(target=make, args=(store, work)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert work.num_done == 1


def test_a_read_only_home_is_an_error_with_a_way_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        store.layout.root.mkdir()
        store.layout.root.chmod(0o500)
    else:  # root may write anywhere, so the file system has to say no itself

        def refuse(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"point TONSAI_HOME"):
        make(store, Work())


def test_a_report_may_be_a_mapping(store: Store) -> None:
    assert make(store, lambda folder: {"n": 1} if folder.is_dir() else {}).report == {"n": 1}
