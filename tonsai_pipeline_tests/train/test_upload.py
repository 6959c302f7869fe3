"""Checkpoints reach another file system whole or not at all, and nothing that fails there stops training."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.recipe.train import CheckpointConfig
from tonsai_pipeline.train.checkpoints.remote import Remote, download_newest
from tonsai_pipeline.train.checkpoints.uploader import Uploader


class FailingFileSystem(MemoryFileSystem):
    """A memory that refuses some writes."""

    protocol = "failing"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    refused: list[str] = []  # noqa: RUF012
    order: list[str] = []  # noqa: RUF012

    def put_file(self, lpath, rpath, *args, **kwargs):
        if self.refused and self.refused[0] in rpath:
            self.refused.pop(0)
            raise ConnectionResetError("the bucket hung up")
        self.order.append(rpath.rsplit("/", 1)[-1])
        super().put_file(lpath, rpath, *args, **kwargs)


fsspec.register_implementation("failing", FailingFileSystem, clobber=True)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    FailingFileSystem.refused = []
    FailingFileSystem.order = []
    yield
    for system in (FailingFileSystem, MemoryFileSystem):
        system.store.clear()
        system.pseudo_dirs[:] = [""]


class Sent:
    """An uploader that sleeps for no one, and what it complained about."""

    def __init__(self, url: str, **section) -> None:
        self.troubles: list[str] = []
        self.remote = Remote(url, "f00d")
        self.uploader = Uploader(
            self.remote,
            CheckpointConfig.model_validate(section),
            on_trouble=self.troubles.append,
            wait=lambda _: None,
        )

    def send(self, *folders: Path) -> None:
        for folder in folders:
            self.uploader.enqueue(folder)
            while self.uploader.is_needed(folder):
                threading.Event().wait(0.01)


def checkpoint(folder: Path, step: int) -> Path:
    made = folder / "checkpoints" / f"step-{step:08d}"
    (made / "state").mkdir(parents=True)
    (made / "state" / "a").write_text(f"weights {step}")
    (made / "b").write_text("more")
    (made / "manifest.json").write_text('{"files": {"state/a": {}, "b": {}}}')
    return made


def test_the_manifest_goes_last_and_everything_arrives(tmp_path: Path) -> None:
    sent = Sent("failing://bucket/runs/")
    sent.send(checkpoint(tmp_path, 2))
    report = sent.uploader.close(10.0)
    assert FailingFileSystem.order == ["b", "a", "manifest.json"]
    assert (report.last_step, report.num_failed, report.num_waiting) == (2, 0, 0)
    copy = f"{sent.remote.root}/step-00000002/state/a"
    assert sent.remote.system.cat(copy) == b"weights 2"
    assert sent.troubles == []


def test_a_file_that_fails_is_tried_again(tmp_path: Path) -> None:
    FailingFileSystem.refused = ["state/a", "manifest"]
    sent = Sent("failing://bucket")
    sent.send(checkpoint(tmp_path, 2))
    assert sent.uploader.close(10.0).last_step == 2
    assert sent.troubles == []


def test_a_checkpoint_that_cannot_be_sent_is_given_up_visibly_and_the_next_is_sent(
    tmp_path: Path,
) -> None:
    FailingFileSystem.refused = ["step-00000002/state/a"] * 2
    sent = Sent("failing://bucket", upload_attempts=2)
    sent.send(checkpoint(tmp_path, 2), checkpoint(tmp_path, 4))
    report = sent.uploader.close(10.0)
    assert (report.last_step, report.num_failed) == (4, 1)
    assert "the bucket hung up" in report.last_error
    (trouble,) = sent.troubles
    assert trouble.startswith("step-00000002 was not uploaded: failing://bucket/f00d/step-00000002")
    found = download_newest(
        sent.remote, tmp_path / "new", is_whole=lambda _: True, on_trouble=sent.troubles.append
    )
    assert found == tmp_path / "new" / "step-00000004"
    assert found is not None
    assert (found / "state" / "a").read_text() == "weights 4"


def test_an_unfinished_upload_is_passed_over(tmp_path: Path) -> None:
    sent = Sent("memory://bucket")
    sent.send(checkpoint(tmp_path, 2), checkpoint(tmp_path, 4))
    sent.uploader.close(10.0)
    sent.remote.system.rm("/bucket/f00d/step-00000004/manifest.json")
    found = download_newest(
        sent.remote, tmp_path / "new", is_whole=lambda _: True, on_trouble=sent.troubles.append
    )
    assert found == tmp_path / "new" / "step-00000002"
    assert "step-00000004: an unfinished upload" in sent.troubles[0]


def test_a_copy_that_arrives_damaged_is_passed_over(tmp_path: Path) -> None:
    sent = Sent("memory://bucket")
    sent.send(checkpoint(tmp_path, 2), checkpoint(tmp_path, 4))
    sent.uploader.close(10.0)
    found = download_newest(
        sent.remote,
        tmp_path / "new",
        is_whole=lambda folder: folder.name == ".tmp-step-00000002",
        on_trouble=sent.troubles.append,
    )
    assert found == tmp_path / "new" / "step-00000002"


def test_as_many_are_kept_there_as_here(tmp_path: Path) -> None:
    sent = Sent(f"file://{tmp_path / 'far'}", keep_last=2, keep_every_steps=4)
    sent.send(*[checkpoint(tmp_path, step) for step in (2, 4, 6, 8, 10)])
    sent.uploader.close(10.0)
    assert sent.remote.names() == [f"step-{step:08d}" for step in (4, 8, 10)]


def test_a_rollback_removes_the_copies_of_later_steps(tmp_path: Path) -> None:
    sent = Sent("memory://bucket", keep_last=9)
    sent.send(*[checkpoint(tmp_path, step) for step in (2, 4, 6)])
    sent.uploader.forget_after(2)
    sent.uploader.close(10.0)
    assert sent.remote.names() == ["step-00000002"]


def test_a_newer_checkpoint_takes_the_place_of_one_that_still_waits(
    tmp_path: Path, monkeypatch
) -> None:
    go_on, began = threading.Event(), threading.Event()
    real = Remote.send

    def slow(self, path, name, file):
        began.set()
        assert go_on.wait(20.0)
        real(self, path, name, file)

    monkeypatch.setattr(Remote, "send", slow)
    sent = Sent("memory://bucket")
    folders = [checkpoint(tmp_path, step) for step in (2, 4, 6)]
    sent.uploader.enqueue(folders[0])
    assert began.wait(20.0)
    sent.uploader.enqueue(folders[1])
    sent.uploader.enqueue(folders[2])
    assert [sent.uploader.is_needed(folder) for folder in folders] == [True, False, True]
    assert sent.uploader.report.num_waiting == 2
    go_on.set()
    report = sent.uploader.close(20.0)
    assert (report.last_step, report.num_failed) == (6, 1)
    assert "a newer checkpoint was saved" in sent.troubles[0]


def test_what_is_not_sent_when_the_job_ends_is_logged(tmp_path: Path, monkeypatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(Remote, "send", lambda *_: never.wait(20.0))
    sent = Sent("memory://bucket")
    sent.uploader.enqueue(checkpoint(tmp_path, 2))
    report = sent.uploader.close(0.05)
    assert report.num_failed == 1
    assert "the job ended" in sent.troubles[0]
    never.set()


def test_a_url_without_a_file_system_is_named() -> None:
    with pytest.raises(StorageError, match="nosuch://bucket/f00d"):
        Remote("nosuch://bucket", "f00d")


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_one(
    tmp_path: Path, monkeypatch
) -> None:
    remote = Remote(f"file://{tmp_path}", "f00d")
    shutil.copytree(checkpoint(tmp_path, 2), tmp_path / "f00d" / "step-00000002")

    def refuses(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(remote.system, "ls", refuses)
    with pytest.raises(StorageError, match="not yours"):
        download_newest(remote, tmp_path, is_whole=lambda _: True, on_trouble=print)
