"""A release whose verdicts allow it -> a repository of the Hub, or a folder behind any fsspec URL.

    hf://owner/name        one commit on a branch, or a pull request: all files or none
    s3://, gs://, folder   <url>.incoming-<release>/ first, then its name, the manifest last

A failed attempt leaves nothing under the target's name; the next one sends only what has not arrived.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import orjson
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi

from tonsai_pipeline.errors import DataError, StorageError
from tonsai_pipeline.publish.files import MANIFEST_NAME, check_manifest
from tonsai_pipeline.publish.spec import GATE_NAME, RELEASE_NAME
from tonsai_pipeline.storage.file_systems import make_folder, open_system, reason_of
from tonsai_pipeline.storage.files import digest_file, read_json

HUB = "hf://"
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".pkl", ".pt", ".pth")
Log = Callable[[str], object]


def push(
    place: Path,
    target: str,
    *,
    log: Log,
    branch: str | None = None,
    pull_request: bool = False,
    private: bool = True,
) -> str:
    """Give a release to others.

    Args:
        place: What the job wrote: `release/` and `gate.json`.
        target: `hf://owner/name`, a folder, or any fsspec URL.
        log: Told what goes on.
        branch: Of the Hub's repository; made if it is not there. None is `main`.
        pull_request: Whether the commit is proposed instead of made.
        private: Whether a new repository is seen by its owner alone.

    Returns:
        Where it is.

    Raises:
        DataError: A verdict stops it, or the release is not as it was judged.
        StorageError: The target does not answer, or is full; nothing stands there under its name.
    """
    rows = cast("dict[str, Any]", read_json(place / GATE_NAME))["verdicts"]
    stopped = [row for row in rows if row["stops"]]
    if stopped:
        said = "; ".join(f"{row['name']} {row['verdict']}: {row['message']}" for row in stopped)
        raise DataError(f"not published: {said}")
    release = place / RELEASE_NAME
    names = check_manifest(release)
    if target.startswith(HUB):
        return _to_hub(release, names, target, branch, pull_request, private)
    if branch or pull_request:
        raise DataError(f"{target}: branches and pull requests are the Hub's: {HUB}owner/name")
    return _to_folder(release, names, target, log)


def _to_hub(
    release: Path,
    names: list[str],
    target: str,
    branch: str | None,
    pull_request: bool,
    private: bool,
) -> str:
    repository = target.removeprefix(HUB).strip("/")
    if repository.count("/") != 1:
        raise DataError(f"{target}: write {HUB}owner/name")
    api = HfApi()
    with _as_storage_error(target):
        api.create_repo(repository, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(repository, branch=branch, exist_ok=True)
        there = api.list_repo_files(repository, revision=branch)
        # Not `upload_folder`, which makes several commits of large folders.
        commit: CommitInfo = api.create_commit(
            repository,
            [
                *(CommitOperationAdd(name, release / name) for name in names),
                # Weights of an earlier release, in another division or form.
                *(
                    CommitOperationDelete(name)
                    for name in there
                    if name not in names and name.endswith(_WEIGHTS)
                ),
            ],
            commit_message=f"Release {_release_id(release)}",
            revision=branch,
            create_pr=pull_request,
        )
    return commit.pr_url or commit.commit_url


def _to_folder(release: Path, names: list[str], target: str, log: Log) -> str:
    incoming = f"{target.rstrip('/')}.incoming-{_release_id(release)}"
    with _as_storage_error(target):
        system, root = open_system(target)
        _, waiting = open_system(incoming)
        system.invalidate_cache()
        before = _manifest_there(system, root, target)
        for name in names:
            path, place = release / name, posixpath.join(waiting, name)
            if system.exists(place) and _is_same(system, place, path):
                log(f"{name}: is there already")
                continue
            make_folder(system, posixpath.dirname(place))
            system.put_file(str(path), place)
            if system.size(place) != path.stat().st_size:
                raise StorageError(
                    f"{incoming}/{name}: {system.size(place)} bytes arrived of {path.stat().st_size}"
                )
            log(f"{name}: {path.stat().st_size:,} bytes sent")
        _take_place(system, root, waiting, names, before)
    return target


def _take_place(
    system: Any, root: str, waiting: str, names: list[str], before: Mapping[str, Any] | None
) -> None:
    """Move what has arrived to its name: no release is named there until its manifest is, which is last."""
    if before is not None:
        system.rm(posixpath.join(root, MANIFEST_NAME))
        for entry in before["files"]:
            if system.exists(old := posixpath.join(root, entry["path"])):
                system.rm(old)
    make_folder(system, root)
    for name in names:
        place = posixpath.join(root, name)
        make_folder(system, posixpath.dirname(place))
        system.mv(posixpath.join(waiting, name), place)
    # A folder of an object store is gone with its last object.
    if system.exists(waiting):
        system.rm(waiting, recursive=True)


def _manifest_there(system: Any, root: str, target: str) -> Mapping[str, Any] | None:
    """Return the manifest of the release that stands at a target; None where nothing does.

    Raises:
        DataError: Something else stands there.
    """
    if not system.exists(root) or not system.ls(root, False):
        return None
    manifest = posixpath.join(root, MANIFEST_NAME)
    if not system.exists(manifest):
        raise DataError(f"{target}: holds files that are no release of ours; name another place")
    return orjson.loads(system.cat_file(manifest))


def _is_same(system: Any, place: str, path: Path) -> bool:
    """Whether a file arrived whole in an earlier attempt."""
    return system.size(place) == path.stat().st_size


def _release_id(release: Path) -> str:
    return digest_file(release / MANIFEST_NAME)[:12]


@contextmanager
def _as_storage_error(target: str) -> Iterator[None]:
    """Every protocol has errors of its own; a person needs the place and the reason."""
    try:
        yield
    except (StorageError, DataError):
        raise
    except Exception as error:
        raise StorageError(
            f"{target}: {reason_of(error, target)}; nothing stands there under its name, and the same command goes on"
        ) from error
