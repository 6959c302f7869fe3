"""Objects below a URL: whole or not there at all, and created once.

key, bytes ──create──▶ True: nothing else stood there      False: something does, and stays as it is
folder ──sizes──▶ {key: bytes}      file ◀──fetch── key ◀──send── file

Of all that object stores can do, only one thing is needed beyond reading and writing: a put that is refused where an
object stands already (`If-None-Match: *`; Google: `ifGenerationMatch=0`), decided by the store itself.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from tonsai_pipeline.errors import StorageError, has_login
from tonsai_pipeline.storage.file_systems import OBJECT_STORES, no_bucket, open_system, reason_of


def etag_of(info: Mapping[str, Any]) -> str | None:
    """Return what a store says of an object that changes with its bytes, the same in a listing and alone; None if nothing."""
    # Google's `etag` is another one when the same bytes are put again.
    names = ("md5Hash", "ETag", "etag", "blob_id", "Last-Modified")
    tag = next((info[name] for name in names if info.get(name)), None)
    return None if tag is None else f"{str(tag).strip(chr(34))} {info['size']}"


def is_name(key: str) -> bool:
    """Whether a key can be a file's; some tools mark folders by objects, and `..` leads out of any folder."""
    return not {"", ".", ".."} & set(key.split("/"))


class Bucket:
    """Objects below a URL of an object store; keys are relative to it, with slashes.

    Args:
        url: For example `s3://bucket/folder`. Who may, and where the store is, comes from its own environment
            (`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_CONNECTION_STRING`).

    Raises:
        StorageError: The store has no conditional put, or the URL carries a password.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if has_login(url):
            raise StorageError(f"{url}: give the password by the environment of the store")
        protocol = url.partition("://")[0]
        if protocol not in OBJECT_STORES:
            raise StorageError(
                f"{url}: {protocol}:// is not known to create an object only where none stands, and two machines "
                f"could overwrite each other; known are: {', '.join(OBJECT_STORES)}"
            )

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none."""
        with self._asked(key) as (system, path):
            try:
                # One request: s3fs asks for the size first where it may read in pieces.
                return system.cat_file(path, max_concurrency=1)
            except FileNotFoundError:
                return None

    def write(self, key: str, data: bytes) -> None:
        """Put an object, whatever stands there."""
        with self._asked(key) as (system, path):
            system.pipe_file(path, data)

    def create(self, key: str, data: bytes) -> bool:
        """Put an object where none stands; False if another one does.

        An object of the same bytes counts as put: a store that was asked twice, because its first answer was lost,
        refuses the second time.
        """
        with self._asked(key) as (system, path):
            try:
                system.pipe_file(path, data, mode="create")
            except OSError:
                # Stores have several words for it; what stands there now tells.
                if (found := self.read(key)) is None:
                    raise
                return found == data
        return True

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every object below a folder, by key relative to it."""
        return {name: int(info["size"]) for name, info in self.list(folder).items()}

    def list(self, folder: str) -> dict[str, Mapping[str, Any]]:
        """Return what the store says of every object below a folder, by key relative to it."""
        with self._asked(folder) as (system, path):
            found = cast("dict[str, Mapping[str, Any]]", system.find(path, detail=True))
        start = f"{path}/"
        return {
            name.removeprefix(start): info
            for name, info in found.items()
            if name.startswith(start) and info["type"] == "file" and is_name(name)
        }

    def send(self, path: Path, key: str) -> None:
        """Copy a file into the store; a large one in several requests at once, visible when all are done."""
        with self._asked(key) as (system, target):
            system.put_file(str(path), target)

    def fetch(self, key: str, path: Path) -> bool:
        """Copy an object into a file; False if there is none."""
        with self._asked(key) as (system, source):
            try:
                system.get_file(source, str(path))
            except FileNotFoundError:
                return False
        return True

    def remove(self, key: str) -> None:
        """Remove an object; it may be gone already."""
        with self._asked(key) as (system, path):
            try:
                system.rm_file(path)
            except FileNotFoundError:
                return

    def check(self) -> None:
        """Find out whether the store may be written, and refuses to create what is there.

        Raises:
            StorageError: It may not, or does not refuse.
        """
        key = f".probe/{uuid4().hex}"
        is_first = self.create(key, b"1")
        is_second = self.create(key, b"2")
        self.remove(key)
        if not is_first or is_second:
            raise StorageError(
                f"{self.url}: the store ignores conditions (If-None-Match, ifGenerationMatch), so two machines could "
                "overwrite each other; use one with conditional writes (MinIO and Ceph have them in releases since 2024)"
            )

    @contextmanager
    def _asked(self, key: str) -> Iterator[tuple[Any, str]]:
        """Yield the file system and a key's path in it; what it raises is told with the URL."""
        place = f"{self.url}/{key}"
        try:
            yield open_system(place, use_listings_cache=False)
        except ImportError as error:
            raise StorageError(f"{place}: {reason_of(error, place)}") from error
        except FileNotFoundError as error:  # an object that is missing was no error here
            raise StorageError(f"{place}: {no_bucket(place)}") from error
        except StorageError:
            raise
        except Exception as error:  # every fsspec protocol has errors of its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StorageError(
                f"{place}: the store said no, or nothing: {reason_of(error, place)}; what is finished here stays, so "
                "run the same command again"
            ) from error
