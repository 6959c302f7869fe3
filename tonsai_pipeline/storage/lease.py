"""Who works in a data root: a process says so while it lives, so that nothing it has opened is cleared away.

process ──hold_lease(root)──▶ building/leases/<pid> locked until the process ends, however it ends
tonsai gc ──oldest_lease(root)──▶ since when somebody works; what was used since then stays
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.files import translate_os_errors

#: Files that this process keeps locked, by data root and process: a forked worker makes none of its own.
_HELD: dict[Path, TextIO] = {}
_LEASES = Path("building") / "leases"
_CLEARING = Path("building") / "clearing.lock"


def hold_lease(root: Path) -> None:
    """Say that this process works in a data root, until it ends; waits while a `tonsai gc` deletes."""
    if root in _HELD:
        return
    path = root / _LEASES / str(os.getpid())
    with translate_os_errors(root), lock_file(root / _CLEARING):
        _HELD[root] = lock_for_life(path)


def is_held(root: Path) -> bool:
    """Whether this process works in a data root."""
    return root in _HELD


def oldest_lease(root: Path) -> float | None:
    """Return since when the process works that began first, in seconds since the epoch; None if none works.

    What ended processes left behind is removed.
    """
    since = []
    for path in (root / _LEASES).glob("*"):
        if root in _HELD and path.name == str(os.getpid()):
            continue
        with if_free(path) as is_free:
            if is_free:
                path.unlink(missing_ok=True)
            else:
                since.append(path.stat().st_mtime)
    return min(since, default=None)


def lock_for_life(path: Path) -> TextIO:
    """Lock a file for as long as the stream that is returned is open: at most until this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("w")
    fcntl.flock(stream, fcntl.LOCK_EX)
    return stream


@contextmanager
def if_free(path: Path) -> Iterator[bool]:
    """Hold a file of `lock_for_life` if nobody does; yields whether it was so. What this process holds is not free."""
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        else:
            is_free = True
        yield is_free


@contextmanager
def clearing(root: Path) -> Iterator[None]:
    """Keep new work from beginning while files are deleted.

    Raises:
        StorageError: Another `tonsai gc` deletes.
    """
    with lock_file(root / _CLEARING, wait=False):
        yield


@contextmanager
def lock_file(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that is named by a file; the file may be deleted by whoever holds the lock.

    Args:
        path: The file; it is made if need be.
        wait: Wait for whoever holds it.

    Raises:
        StorageError: It is held, and waiting was not asked for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise StorageError(f"{path}: another process holds it; try again later") from error
            # Whoever held it before may have deleted the file: then this lock is of a file nobody finds.
            if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                yield
                return
