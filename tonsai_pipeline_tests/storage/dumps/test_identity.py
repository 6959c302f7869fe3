from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import fsspec
import huggingface_hub
import pytest

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import ContentHashes, HubLocation, identity, location_bytes

LATER = 4e9  # seconds since the epoch: every file of a test is old by then


def digests_counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    digest = identity.digest_file
    monkeypatch.setattr(identity, "digest_file", lambda path: (read.append(path), digest(path))[1])
    return read


def test_equal_bytes_have_equal_identity_wherever_and_whenever_they_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    os.utime(tmp_path / "b", (1, 1))
    hashes = ContentHashes(tmp_path / "hashes.json")
    assert hashes.of(str(tmp_path / "a")) == hashes.of(str(tmp_path / "b"))
    (tmp_path / "b").write_bytes(b"else")
    assert hashes.of(str(tmp_path / "a")) != hashes.of(str(tmp_path / "b"))


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = digests_counted(monkeypatch)
    (tmp_path / "a").write_bytes(b"same")
    for _ in range(3):
        hashes = ContentHashes(tmp_path / "hashes.json", now_s=LATER)
        hashes.of(str(tmp_path / "a"))
        hashes.save()
    assert len(read) == 1
    os.utime(tmp_path / "a", (1, 1))
    assert ContentHashes(tmp_path / "hashes.json", now_s=LATER).of(str(tmp_path / "a"))
    assert len(read) == 2


def test_a_file_that_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = digests_counted(monkeypatch)
    path = tmp_path / "a"
    path.write_bytes(b"one")
    now_s = path.stat().st_mtime + 0.5
    for _ in range(2):
        hashes = ContentHashes(tmp_path / "hashes.json", now_s=now_s)
        hashes.of(str(path))
        hashes.save()
    assert len(read) == 2


def test_what_two_processes_learn_at_once_is_all_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [ContentHashes(tmp_path / "hashes.json", now_s=LATER) for _ in range(2)]
    for hashes, name in zip(both, "ab", strict=True):
        (tmp_path / name).write_text(name)
        hashes.of(str(tmp_path / name))
    for hashes in both:
        hashes.save()
    read = digests_counted(monkeypatch)
    later = ContentHashes(tmp_path / "hashes.json", now_s=LATER)
    assert [later.of(str(tmp_path / name)) for name in "ab"] == [
        hashes.of(str(tmp_path / name)) for hashes, name in zip(both, "ab", strict=True)
    ]
    assert read == []


def test_a_folder_is_named_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"1")
    hashes = ContentHashes(tmp_path / "hashes.json")
    before = hashes.of(str(tmp_path / "in"))
    (tmp_path / "in" / "b").write_bytes(b"2")
    assert hashes.of(str(tmp_path / "in")) != before


def test_a_url_is_named_by_what_its_store_says(tmp_path: Path) -> None:
    def put(data: bytes) -> str:
        with fsspec.open("memory://identity/a", "wb") as stream:
            stream.write(data)  # pyright: ignore[reportAttributeAccessIssue]
        return ContentHashes(tmp_path / "hashes.json").of("memory://identity/a")

    first = put(b"one")
    assert first == ContentHashes(tmp_path / "hashes.json").of("memory://identity/a")
    assert first != put(b"two!")
    assert location_bytes("memory://identity/a") == 4


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="gone: cannot be read: No such file"):
        ContentHashes(tmp_path / "hashes.json").of(str(tmp_path / "gone"))
    with pytest.raises(DumpError, match="gone: cannot be read"):
        location_bytes(str(tmp_path / "gone"))


class Hub:
    """A Hub that knows one commit, or none, and counts who asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, commit: str | None) -> None:
        self.num_asked = 0
        self.commit = commit
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)

    def dataset_info(self, *_: object, **__: object) -> SimpleNamespace:
        self.num_asked += 1
        if self.commit is None:
            raise ConnectionError("no network")
        return SimpleNamespace(sha=self.commit)


FIRST, SECOND = "a" * 40, "b" * 40
UNPINNED = HubLocation("org/data", config="khm")


def pin(path: Path, now_s: float, hub: HubLocation = UNPINNED) -> tuple[HubLocation, list[str]]:
    hashes = ContentHashes(path, now_s=now_s)
    pinned = hashes.pin(hub)
    hashes.save()
    return pinned, hashes.problems


def test_a_branch_is_read_at_the_commit_it_names_and_asked_for_again_after_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hub = tmp_path / "hashes.json", Hub(monkeypatch, FIRST)
    assert pin(path, 1000.0)[0].revision == FIRST
    hub.commit = SECOND
    assert pin(path, 1000.0 + 1800)[0].revision == FIRST
    assert hub.num_asked == 1
    assert pin(path, 1000.0 + 4000)[0].revision == SECOND


def test_without_a_network_the_last_known_commit_is_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hub = tmp_path / "hashes.json", Hub(monkeypatch, FIRST)
    pin(path, 1000.0)
    hub.commit = None
    pinned, [problem] = pin(path, 10_000.0)
    assert pinned.revision == FIRST
    assert "going by the last known commit aaaa" in problem
    never, [problem] = pin(path, 10_000.0, HubLocation("org/other"))
    assert never.revision is None
    assert "going by its name alone" in problem


def test_a_hub_that_does_not_answer_is_left_alone_for_a_while_and_the_problem_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hub = tmp_path / "hashes.json", Hub(monkeypatch, None)
    first = pin(path, 1000.0)
    assert pin(path, 1200.0) == first
    assert hub.num_asked == 1
    hub.commit = FIRST
    assert pin(path, 1400.0) == (HubLocation("org/data", config="khm", revision=FIRST), [])


def test_a_pinned_commit_is_never_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch, FIRST)
    assert pin(tmp_path / "h", 0.0, HubLocation("org/data", revision=SECOND))[0].revision == SECOND
    assert hub.num_asked == 0


def test_a_hub_identity_depends_on_what_is_read_and_not_on_how(tmp_path: Path) -> None:
    of_hub = ContentHashes(tmp_path / "h").of_hub
    base = HubLocation("org/data", revision=FIRST)
    assert of_hub(base) == of_hub(HubLocation("org/data", revision=FIRST, streaming=False))
    others = [
        HubLocation("org/data", revision=SECOND),
        HubLocation("org/data", revision=FIRST, split="test"),
        HubLocation("org/data", revision=FIRST, config="khm"),
        HubLocation("org/data", revision=FIRST, max_samples=3),
    ]
    assert len({of_hub(base), *map(of_hub, others)}) == 5
