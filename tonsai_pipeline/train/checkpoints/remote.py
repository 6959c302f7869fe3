"""The checkpoints of one run in a folder behind any fsspec URL.

    <url>/<fingerprint>/step-*/ ──download, newest whole one──▶ an empty checkpoints/ of another machine

A checkpoint there without a manifest is unfinished and never read.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.file_systems import make_folder, open_system, reason_of
from tonsai_pipeline.storage.manifest import MANIFEST_NAME


class Remote:
    """The checkpoints of one run behind a URL.

    Args:
        url: Any fsspec URL.
        fingerprint: Name of the run's work: its folder below the URL.

    Raises:
        StorageError: The URL has no file system here; the message names the package that is missing.
    """

    def __init__(self, url: str, fingerprint: str) -> None:
        self.url = f"{url.rstrip('/')}/{fingerprint}"
        with _as_storage_error(self.url):
            self.system, self.root = open_system(self.url)

    def names(self) -> list[str]:
        """Return the names of all checkpoints, whole or not, oldest first."""
        with _as_storage_error(self.url):
            self.system.invalidate_cache()
            if not self.system.exists(self.root):
                return []
            found = [posixpath.basename(p.rstrip("/")) for p in self.system.ls(self.root, False)]
        return sorted(name for name in found if name.startswith("step-"))

    def send(self, path: Path, name: str, file: str) -> None:
        """Copy one file of a checkpoint."""
        target = posixpath.join(self.root, name, file)
        with _as_storage_error(f"{self.url}/{name}/{file}"):
            make_folder(self.system, posixpath.dirname(target))
            self.system.put_file(str(path), target)

    def remove(self, name: str) -> None:
        """Remove a checkpoint, its manifest first."""
        folder = posixpath.join(self.root, name)
        with _as_storage_error(f"{self.url}/{name}"):
            manifest = posixpath.join(folder, MANIFEST_NAME)
            if self.system.exists(manifest):
                self.system.rm(manifest)
            if self.system.exists(folder):
                self.system.rm(folder, recursive=True)

    def fetch(self, name: str, folder: Path) -> bool:
        """Copy a checkpoint into `folder`; false if it is unfinished.

        Raises:
            StorageError: It cannot be read.
        """
        source = posixpath.join(self.root, name)
        with _as_storage_error(f"{self.url}/{name}"):
            if not self.system.exists(posixpath.join(source, MANIFEST_NAME)):
                return False
            manifest = orjson.loads(self.system.cat_file(posixpath.join(source, MANIFEST_NAME)))
            for file in [*manifest["files"], MANIFEST_NAME]:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                self.system.get_file(posixpath.join(source, file), str(target))
        return True


def download_newest(
    remote: Remote,
    folder: Path,
    *,
    is_whole: Callable[[Path], bool],
    on_trouble: Callable[[str], None],
) -> Path | None:
    """Bring the newest whole checkpoint of a run to this machine.

    Args:
        remote: Where it is.
        folder: The run's `checkpoints/`.
        is_whole: Checks every byte of a checkpoint folder.
        on_trouble: Gets a message about each checkpoint that is skipped.

    Returns:
        Its folder; None if there is none.

    Raises:
        StorageError: The URL cannot be listed: to start anew without knowing would overwrite what is there.
    """
    for name in reversed(remote.names()):
        building, final = folder / f".tmp-{name}", folder / name
        shutil.rmtree(building, ignore_errors=True)
        try:
            if not remote.fetch(name, building):
                on_trouble(f"{remote.url}/{name}: an unfinished upload, skipped")
                continue
        except (StorageError, OSError) as error:
            on_trouble(f"{remote.url}/{name}: cannot be read, skipped: {error}")
            continue
        if is_whole(building):
            building.rename(final)
            return final
        on_trouble(f"{remote.url}/{name}: damaged, skipped")
        shutil.rmtree(building)
    return None


@contextmanager
def _as_storage_error(place: str) -> Iterator[None]:
    """Every fsspec protocol has errors of its own; the reader of the log needs the place and the reason."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(f"{place}: {reason_of(error, place)}") from error
