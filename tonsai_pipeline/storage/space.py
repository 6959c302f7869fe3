"""What lies in a data root, how much of the disk it takes, and clearing it away.

data root ──list_folders──▶ Folder(kind, asset, partition, used_s)
files ──used_bytes──▶ bytes of the disk, a file with two names counted once
Folder ──clear──▶ gone, unless somebody used or locked it in the meantime
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.lease import lock_file

Kind = Literal["artifact", "unfinished", "run", "fetched"]
#: Folders are moved here before they are deleted, so that none is ever found half deleted.
_CLEARED = Path("building") / "cleared"
_KINDS: dict[Kind, str] = {
    "artifact": "artifacts",
    "unfinished": "building",
    "run": "runs",
    "fetched": "fetched",
}
_BLOCK_BYTES = 512  # st_blocks is counted in these, whatever the file system's own blocks are


@dataclass(frozen=True)
class Folder:
    """A finished result, an unfinished one, a training run with its checkpoints, or single files of a result.

    Args:
        kind: Which of them.
        path: Where it is.
        asset: Name of the stage, or the kind of run.
        partition: Dump key, `all`, or empty for a run.
        used_s: When it was last used or written to, in seconds since the epoch.
    """

    kind: Kind
    path: Path
    asset: str
    partition: str
    used_s: float

    @property
    def name(self) -> str:
        """Fingerprint, as far as folders have it."""
        return self.path.name


def say_bytes(num_bytes: float) -> str:
    """Return bytes in a unit that fits.

    Example:
        >>> say_bytes(1_234_567_890), say_bytes(12_345)
        ('1.23 GB', '12.3 kB')
    """
    value, unit = float(num_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(value) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def list_folders(root: Path) -> list[Folder]:
    """List what `tonsai gc` judges, in the order of paths."""
    found = []
    for kind, place in _KINDS.items():
        pattern = "*/*" if kind == "run" else "*/*/*"
        for path in sorted((root / place).glob(pattern)):
            if path.is_dir() and root / _CLEARED not in path.parents:
                pieces = path.relative_to(root / place).parts
                partition = "" if kind == "run" else pieces[1]
                # What is written below shows in the folder it is written to.
                used_s = max(one.stat().st_mtime for one in (path, *path.glob("*")))
                found.append(Folder(kind, path, pieces[0], partition, used_s))
    return found


def used_bytes(paths: Iterable[Path]) -> int:
    """Return the bytes of the disk that files below some folders take; a file with two names counts once."""
    return sum(stat.st_blocks * _BLOCK_BYTES for stat in _files(paths))


def freed_bytes(paths: Iterable[Path]) -> int:
    """Return the bytes that are free when folders are gone: files that have another name elsewhere stay."""
    return sum(
        stat.st_blocks * _BLOCK_BYTES
        for stat, num_names in _names(paths)
        if num_names >= stat.st_nlink
    )


def clear(root: Path, folder: Folder) -> bool:
    """Delete a folder; False if somebody locked or used it since it was listed, and it stays.

    Raises:
        StorageError: The disk refuses.
    """
    if folder.kind != "run":
        lock = Layout(root, "").building(folder.asset, folder.partition, folder.name)
        lock = lock.with_suffix(".lock")
        try:
            with lock_file(lock, wait=False):
                is_gone = _move_and_delete(root, folder)
                if is_gone:
                    lock.unlink(missing_ok=True)
        except StorageError:
            return False
        _remove_empty(lock.parent, root)
    else:
        is_gone = _move_and_delete(root, folder)
    _remove_empty(folder.path.parent, root)
    return is_gone


def finish_clearing(root: Path) -> None:
    """Delete what a killed `tonsai gc` had moved away."""
    shutil.rmtree(root / _CLEARED, ignore_errors=True)


def _move_and_delete(root: Path, folder: Folder) -> bool:
    away = root / _CLEARED / f"{folder.kind}--{folder.asset}--{folder.partition}--{folder.name}"
    away.parent.mkdir(parents=True, exist_ok=True)
    folder.path.replace(away)
    # Nobody finds it any more; was it found a moment ago, it is put back.
    if max(one.stat().st_mtime for one in (away, *away.glob("*"))) > folder.used_s:
        away.replace(folder.path)
        return False
    shutil.rmtree(away)
    return True


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _files(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    return (stat for stat, _ in _names(paths))


def _names(paths: Iterable[Path]) -> Iterator[tuple[os.stat_result, int]]:
    """Yield every file once, with the number of its names below the paths."""
    found: dict[tuple[int, int], tuple[os.stat_result, int]] = {}
    for path in paths:
        for file in path.rglob("*"):
            if file.is_file() and not file.is_symlink():
                stat = file.stat()
                key = (stat.st_dev, stat.st_ino)
                found[key] = (stat, found.get(key, (stat, 0))[1] + 1)
    yield from found.values()
