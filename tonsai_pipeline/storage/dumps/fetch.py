"""A file at a URL -> a copy on this disk, whole and of the version that was meant, or an error.

    URL ──ranges of at most 16 MiB, each tried again──▶ <name>.partial ──tag and size as before──▶ <name>, its SHA-256

A killed process goes on behind the bytes that it has. A server without ranges is read from the beginning each time.
"""

from __future__ import annotations

import errno
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.dumps.stored import Stored, is_gone, open_system, say, stored_as

_BLOCK_BYTES = 16 << 20
#: A range that broke is asked for again in smaller ones, down to this, which grow again as they succeed.
_LEAST_BLOCK_BYTES = 256 << 10
#: Seconds before each further try. Who got a byte further has all of them again.
WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Fetched:
    """What was read: its size, and the SHA-256 of its bytes in hex."""

    num_bytes: int
    sha256: str


def fetch(url: str, path: Path, wanted: Stored) -> Fetched:
    """Copy a file to this disk.

    Args:
        url: Any fsspec URL.
        path: Where the copy appears when it is whole.
        wanted: Which version of the file is meant.

    Raises:
        StorageError: The file is gone, or another one; or the network failed, also at the last try. What was fetched stays,
            and is gone on from.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    if path.is_file():  # whole, and its process was killed before it could say so
        path.replace(partial)
    download = _Download(url, partial, wanted)
    waits = iter(WAITS_S)
    while True:
        before = download.num_bytes
        try:
            download.go_on()
            break
        except StorageError:
            raise
        except Exception as error:  # every fsspec protocol has its own errors
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise
            if is_gone(error):
                raise StorageError(
                    f"{url}: is gone; bring it back, or go on without the dump (tonsai dumps remove)"
                ) from error
            download.take_less()
            waits = iter(WAITS_S) if download.num_bytes > before else waits
            if (wait_s := next(waits, None)) is None:
                raise StorageError(
                    f"{url}: reading failed after {download.num_bytes:,} bytes of {wanted.num_bytes or 'unknown'}, "
                    f"also at try {len(WAITS_S) + 1}: {say(error, url)}; run the same command again, it goes on from there"
                ) from error
            time.sleep(wait_s)
    download.partial.replace(path)
    return Fetched(download.num_bytes, download.hasher.hexdigest())


class _Download:
    """A file on its way."""

    def __init__(self, url: str, partial: Path, wanted: Stored) -> None:
        self.url = url
        self.partial = partial
        self.wanted = wanted
        self.num_bytes = 0
        self.hasher = hashlib.sha256()
        self._has_ranges = True
        self._block_bytes = _BLOCK_BYTES
        if partial.is_file():
            with partial.open("rb") as local:
                while data := local.read(_BLOCK_BYTES):
                    self._count(data)

    def go_on(self) -> None:
        """Read from where it broke off to the end."""
        system, path = open_system(self.url)
        self._compare(system, path)
        if not self._has_ranges:
            self._begin_again()
        if self.num_bytes != self.wanted.num_bytes:
            try:
                self._read(system, path)
            except ValueError:  # fsspec's word for a server that ignores ranges
                self._has_ranges = False
                self._begin_again()
                self._read(system, path)
        self._compare(system, path)
        if self.wanted.num_bytes not in (None, self.num_bytes):
            raise ConnectionError(f"the connection ended after {self.num_bytes:,} bytes")
        self.partial.touch()  # an empty file has no bytes to make it

    def take_less(self) -> None:
        """Ask for less at a time: what is lost when a connection breaks is what it had of a range."""
        least = min(_LEAST_BLOCK_BYTES, self._block_bytes)
        self._block_bytes = max(self._block_bytes // 4, least)

    def _read(self, system: Any, path: str) -> None:
        options: dict[str, Any] = {"block_size": _BLOCK_BYTES if self._has_ranges else 0}
        if self._has_ranges:
            options["cache_type"] = "none"
        with system.open(path, "rb", **options) as remote, self.partial.open("ab") as local:
            if self.num_bytes:
                remote.seek(self.num_bytes)
            while data := remote.read(self._next_bytes()):
                local.write(data)
                local.flush()
                self._count(data)
                self._block_bytes = min(2 * self._block_bytes, _BLOCK_BYTES)

    def _next_bytes(self) -> int:
        """Return how many bytes to ask for; nothing behind the end, which Google's store takes for an error."""
        if not self._has_ranges or self.wanted.num_bytes is None:
            return self._block_bytes
        return max(0, min(self._block_bytes, self.wanted.num_bytes - self.num_bytes))

    def _count(self, data: bytes) -> None:
        self.hasher.update(data)
        self.num_bytes += len(data)

    def _begin_again(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.num_bytes, self.hasher = 0, hashlib.sha256()

    def _compare(self, system: Any, path: str) -> None:
        now = stored_as(system, path)
        if now.tag != self.wanted.tag:
            raise StorageError(
                f"{self.url}: is another file than the catalog found (its tag was '{self.wanted.tag}', it is "
                f"'{now.tag}'); run again: that is a new version of the dump, and all of it is fetched"
            )
