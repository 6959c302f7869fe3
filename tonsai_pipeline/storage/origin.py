"""The object store behind a data root: results are sent there before they count, and fetched when they are opened.

    building/ ──publish: files, then manifest.json created once──▶ artifacts/<place>/manifest.json
                                                                   artifacts/<place>/<data version>/<files>
    find(place) ──▶ fetched/<place>/manifest.json                  what is there, without its files
    fetch_file ───▶ fetched/<place>/<data version>/<file>          one of them, its hash checked
    fetch(place) ─▶ artifacts/<place>/                             all of them
    current/, pages/ ──push──▶ the same keys                       small files; the last one counts

Files lie below the name of their bytes, so two machines that make the same result differently never mix theirs: the
first manifest counts, and the other machine takes it. What lies in the local `artifacts/` was sent before.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

import orjson

from tonsai_pipeline.errors import ManifestError, StorageError
from tonsai_pipeline.storage.bucket import Bucket, etag_of, is_name
from tonsai_pipeline.storage.files import (
    atomic_path,
    digest_file,
    read_json,
    sync_file,
    write_bytes,
    write_json,
)
from tonsai_pipeline.storage.layout import Layout, origin_url
from tonsai_pipeline.storage.lease import lock_file
from tonsai_pipeline.storage.manifest import (
    MANIFEST_NAME,
    TIMINGS_NAME,
    FileEntry,
    Manifest,
    parse_manifest,
    write_manifest,
)

#: Files on their way at once; a store answers in tens of milliseconds, whatever the size.
_NUM_THREADS = 8
#: How long a listing of small files is taken as known.
_FRESH_S = 5.0
_ETAGS_NAME = ".etags.json"
_T = TypeVar("_T")


class _DamagedError(Exception):
    """An object is gone or has other bytes."""


class Origin:
    """An object store, and the local folder that works for it.

    Args:
        root: The folder.
        url: The data root in the store.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.bucket = Bucket(url)
        self._pulled_s: dict[str, float] = {}

    def find(self, place: str) -> Manifest | None:
        """Return what a finished result holds, None if there is none; asked once, for a manifest never changes.

        Args:
            place: `Artifact.place`.
        """
        path = self._fetched(place) / MANIFEST_NAME
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            sent = self.bucket.read(_manifest_key(place))
            if sent is None:
                return None
            if not _is_json(sent):  # cut short in the store; one of another version is told
                self._withdraw(place)
                return None
            write_bytes(path, sent)
            found = sent
        manifest = parse_manifest(found, path)
        if not all(is_name(entry.path) for entry in manifest.files):
            raise ManifestError(f"{self.bucket.url}/{_manifest_key(place)}: names files elsewhere")
        return manifest

    def publish(self, building: Path, place: str, *, replaces: bool) -> Manifest:
        """Send a finished folder, and say whose result counts: this one, or that of a machine that was faster.

        What a killed process sent is not sent again.

        Args:
            building: The folder, with its manifest.
            place: `Artifact.place`.
            replaces: Take out what was there before.

        Raises:
            StorageError: The store refused; nothing counts as published.
            ManifestError: A file of the folder is damaged.
        """
        told = (building / MANIFEST_NAME).read_bytes()
        manifest = parse_manifest(told, building / MANIFEST_NAME)
        if not replaces and (known := self.find(place)) is not None:
            return known
        self._send(building, place, manifest)
        if replaces:
            self._withdraw(place)
        while not self.bucket.create(_manifest_key(place), told):
            if (faster := self.find(place)) is not None:
                return faster
        return manifest

    def fetch(self, folder: Path) -> None:
        """Bring a result to this machine.

        Args:
            folder: Where it belongs below `artifacts/`.

        Raises:
            ManifestError: It is gone or damaged; it is taken out of the store, and made anew by the next run.
        """
        place = place_of(folder)
        with lock_file(self._lock(place)):
            if folder.is_dir():
                return
            manifest = self._known(place)
            unfinished = self._lock(place).with_suffix(".incoming")
            incoming = unfinished / _version(manifest)
            self._fetch_files(incoming, place, manifest, manifest.files)
            timings = incoming / TIMINGS_NAME
            with atomic_path(timings) as temporary:
                if not self.bucket.fetch(_file_key(place, manifest, TIMINGS_NAME), temporary):
                    temporary.write_text("{}")
            write_manifest(incoming, manifest)
            folder.parent.mkdir(parents=True, exist_ok=True)
            incoming.replace(folder)
            shutil.rmtree(unfinished, ignore_errors=True)
            sync_file(folder.parent)

    def fetch_file(self, folder: Path, name: str) -> Path:
        """Bring one file of a result to this machine and return where it is.

        Raises:
            ManifestError: It is gone or damaged, or the result has no such file.
        """
        place = place_of(folder)
        manifest = self._known(place)
        local = self._fetched(place) / _version(manifest)
        for entry in manifest.files:
            if entry.path == name:
                self._fetch_files(local, place, manifest, [entry])
                return local / name
        raise ManifestError(f"{self.bucket.url}/artifacts/{place}: has no file {name}")

    def pull(self, folder: str) -> None:
        """Bring the small files below a folder up to date; one listing says which changed."""
        now = time.monotonic()
        if now - self._pulled_s.get(folder, -_FRESH_S) < _FRESH_S:
            return
        record = self.root / folder / _ETAGS_NAME
        known = cast("dict[str, str]", read_json(record)) if record.is_file() else {}
        found = {name: etag_of(info) for name, info in self.bucket.list(folder).items()}
        changed = [name for name, tag in found.items() if tag is None or known.get(name) != tag]

        def take(name: str) -> None:
            data = self.bucket.read(f"{folder}/{name}")
            if data is not None:
                write_bytes(self.root / folder / name, data)

        _each(take, changed)
        if changed:
            write_json(record, found)
        self._pulled_s[folder] = now

    def push(self, path: Path, data: bytes) -> None:
        """Write a small file of the data root, in the store first."""
        self.bucket.write(path.relative_to(self.root).as_posix(), data)
        write_bytes(path, data)

    def read(self, path: Path) -> bytes | None:
        """Return a small file as the store has it, None if it has none."""
        return self.bucket.read(path.relative_to(self.root).as_posix())

    def _send(self, building: Path, place: str, manifest: Manifest) -> None:
        folder = _file_key(place, manifest, "").rstrip("/")
        there = self.bucket.sizes(folder)
        # An object of that key and size was sent whole, by somebody with the same bytes.
        waiting = [one for one in manifest.files if there.get(one.path) != one.num_bytes]

        def send(entry: FileEntry) -> None:
            if digest_file(building / entry.path) != entry.sha256:
                raise ManifestError(
                    f"{building / entry.path}: its bytes changed since it was written"
                )
            self.bucket.send(building / entry.path, f"{folder}/{entry.path}")

        _each(send, waiting)
        self.bucket.send(building / TIMINGS_NAME, f"{folder}/{TIMINGS_NAME}")
        there = self.bucket.sizes(folder)
        for entry in manifest.files:
            if there.get(entry.path) != entry.num_bytes:
                raise StorageError(
                    f"{self.bucket.url}/{folder}/{entry.path}: was sent and is not there whole; run again"
                )

    def _fetch_files(
        self, folder: Path, place: str, manifest: Manifest, files: Iterable[FileEntry]
    ) -> None:
        """Bring files of a result to a folder; what is damaged in the store is judged once, when all are here."""
        damaged: list[str] = []

        def fetch(entry: FileEntry) -> None:
            key = _file_key(place, manifest, entry.path)
            if not self._fetch_whole(folder / entry.path, key, entry):
                damaged.append(key)

        _each(fetch, files)
        if not damaged:
            return
        self._forget(place)
        told = self.find(place)
        if told is not None and told.data_version == manifest.data_version:
            self._withdraw(place, *damaged)  # else somebody replaced it, or took it out
        raise ManifestError(
            f"{self.bucket.url}/{min(damaged)}: is gone, or not what its manifest says; {place} counts as not made, "
            "run again and it is made anew"
        )

    def _fetch_whole(self, path: Path, key: str, entry: FileEntry) -> bool:
        """Bring one file; False if the store has other bytes, and nothing is kept."""
        # Files appear under their names when they are checked.
        if path.is_file() and path.stat().st_size == entry.num_bytes:
            return True
        with suppress(_DamagedError), atomic_path(path) as temporary:
            # A second time, lest a fault of the network takes a result out of the store.
            for _ in range(2):
                if self.bucket.fetch(key, temporary) and digest_file(temporary) == entry.sha256:
                    return True
            raise _DamagedError
        return False

    def _known(self, place: str) -> Manifest:
        manifest = self.find(place)
        if manifest is None:
            raise ManifestError(
                f"{self.bucket.url}/artifacts/{place}: is gone from the store; run again and it is made anew"
            )
        return manifest

    def _withdraw(self, place: str, *damaged: str) -> None:
        """Take a result out of the store: its manifest, and objects that are not what they should be."""
        for key in (_manifest_key(place), *damaged):
            self.bucket.remove(key)
        self._forget(place)

    def _forget(self, place: str) -> None:
        """Ask the store again what it has; files that were fetched lie below the name of their bytes, and may stay."""
        (self._fetched(place) / MANIFEST_NAME).unlink(missing_ok=True)

    def _fetched(self, place: str) -> Path:
        return self.root / "fetched" / place

    def _lock(self, place: str) -> Path:
        asset, partition, name = place.split("/")
        return Layout(self.root, "").building(asset, partition, name).with_suffix(".lock")


def open_origin(root: Path) -> Origin | None:
    """Return the object store behind a data root; None for a data root that is a folder alone."""
    url = origin_url(root)
    return None if url is None else _origin(root, url)


@lru_cache
def _origin(root: Path, url: str) -> Origin:
    return Origin(root, url)


def place_of(folder: Path) -> str:
    """Return an artifact's folder below `artifacts/`: `<asset>/<partition or "all">/<fingerprint>`."""
    return "/".join(folder.parts[-3:])


def _each(work: Callable[[_T], None], items: Iterable[_T]) -> None:
    """Do something with many items at once; the first error ends it."""
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        waiting = [threads.submit(work, item) for item in items]
        try:
            for one in waiting:
                one.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _manifest_key(place: str) -> str:
    return f"artifacts/{place}/{MANIFEST_NAME}"


def _file_key(place: str, manifest: Manifest, name: str) -> str:
    return f"artifacts/{place}/{_version(manifest)}/{name}"


def _version(manifest: Manifest) -> str:
    return manifest.data_version[:16]


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
