"""The cache: (asset, settings, inputs) -> a finished folder, made once.

    materialize ──fingerprint──▶ finished folder there?  ──yes──▶ the same Artifact, no work
                                          └─no──▶ make(building folder) ──manifest last, rename──▶ Artifact

A killed `make` leaves its building folder; the next call with the same fingerprint gets that folder back
and goes on (see `engine/parts.py`). Two processes that want the same work wait for each other; two machines with a
data root in an object store both do it, and the first result counts (see `origin.py`).
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.storage.files import (
    JSON_OPTIONS,
    json_bytes,
    read_json,
    sync_file,
    translate_os_errors,
    write_json,
)
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.lease import hold_lease, is_held, lock_file
from tonsai_pipeline.storage.manifest import (
    MANIFEST_NAME,
    TIMINGS_NAME,
    Manifest,
    data_version,
    describe_files,
    read_manifest,
    write_manifest,
)
from tonsai_pipeline.storage.origin import open_origin, place_of


@dataclass(frozen=True)
class Artifact:
    """A finished result on disk, or in the object store of the data root.

    Args:
        folder: Where it is, or will be when it is opened.
        manifest: What the folder holds.
        cached: True if this call found it finished and did no work.
        timings: Seconds and peak memory of the run that made it.
    """

    folder: Path
    manifest: Manifest
    cached: bool = True
    timings: Mapping[str, float] | None = None

    @property
    def data_version(self) -> str:
        """Hash of the bytes."""
        return self.manifest.data_version

    @property
    def path(self) -> Path:
        """Its folder with all of its files, which are fetched now if they are not on this machine.

        Raises:
            ManifestError: It is gone from the object store, or damaged there.
            StorageError: The store does not answer, or the disk is full.
        """
        if not self.folder.is_dir() and (origin := open_origin(self._root)) is not None:
            origin.fetch(self.folder)
        return self.folder

    def file(self, name: str) -> Path:
        """Return one file of it, fetched alone if it is not on this machine; errors as of `path`."""
        if not self.folder.is_dir() and (origin := open_origin(self._root)) is not None:
            return origin.fetch_file(self.folder, name)
        return self.folder / name

    @property
    def place(self) -> str:
        """Its folder below `artifacts/`: `<asset>/<partition or "all">/<fingerprint>`."""
        return place_of(self.folder)

    @property
    def report(self) -> Mapping[str, Any]:
        """What the stage counted, as plain JSON values."""
        return self.manifest.report

    def parts(self, folder: str = ".") -> list[Path]:
        """Return the part files of a table in the artifact, in order."""
        return sorted((self.path / folder).glob("part-*.parquet"))

    @property
    def _root(self) -> Path:
        return Layout.of_artifact(self.folder).root


class Store:
    """Finished results below one data root, and which of them are current for one recipe."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._origin = open_origin(layout.root)

    def materialize(
        self,
        asset: str,
        partition: str | None,
        key: str,
        make: Callable[[Path], object],
        *,
        stage_version: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        made_from: Iterable[str] = (),
        force: bool = False,
    ) -> Artifact:
        """Return the finished result of a piece of work, doing it only if needed, and make it current.

        Args:
            asset: Name of the stage.
            partition: Dump key, or None.
            key: Names the work; see `manifest.fingerprint`.
            make: Called with the building folder; writes files into it and returns a report
                (a dataclass or a mapping of JSON values). May find finished parts of a killed run.
            stage_version: Version of the algorithm, for the manifest; likewise the next two.
            settings: The settings that change the result.
            inputs: Version of every input, by name.
            made_from: The artifacts it is made from, as `Artifact.place`; looked at if the work is done.
            force: Do the work again even if it is finished.

        Raises:
            TonsaiError: Whatever `make` raises; finished parts stay for the next call.
        """
        final = self.layout.artifact(asset, partition, key)
        with translate_os_errors(self.layout.root), self._lock(asset, partition, key):
            hold_lease(self.layout.root)
            building = self.layout.building(asset, partition, key)
            artifact = None if force else self._finished(final, key) or self._resumed(final, key)
            if artifact is None:
                if force:
                    shutil.rmtree(building, ignore_errors=True)
                building.mkdir(parents=True, exist_ok=True)
                started = time.monotonic()
                report = _as_json(make(building))
                timings = {
                    "elapsed_s": time.monotonic() - started,
                    "peak_memory_bytes": _peak_memory(building),
                }
                files = describe_files(building)
                manifest = Manifest(
                    asset=asset,
                    partition=partition,
                    stage_version=stage_version,
                    fingerprint=key,
                    data_version=data_version(files, report),
                    settings=settings,
                    inputs=dict(inputs),
                    files=files,
                    report=report,
                    made_from=tuple(sorted(set(made_from))),
                )
                write_json(building / TIMINGS_NAME, timings)
                write_manifest(building, manifest)
                first = self._publish(building, final, manifest, replaces=force)
                if first.data_version == manifest.data_version:
                    artifact = Artifact(final, manifest, cached=False, timings=timings)
                else:
                    artifact = Artifact(final, first)
            elif final.is_dir():
                os.utime(final)  # used now: see `lease`
            self._point(asset, partition, artifact)
        return artifact

    def find(self, asset: str, partition: str | None, key: str) -> Artifact | None:
        """Return the finished result of a piece of work, or None; never does any, and locks nothing."""
        final = self.layout.artifact(asset, partition, key)
        try:
            artifact = self.at(final)
        except ManifestError:
            return None
        if artifact is None or artifact.manifest.fingerprint != key:
            return None
        if is_held(self.layout.root) and final.is_dir():
            os.utime(final)  # a process that works uses it: see `lease`
        return artifact

    def at(self, folder: Path) -> Artifact | None:
        """Return the finished result that belongs into a folder, None if there is none.

        Raises:
            ManifestError: It is damaged.
        """
        if self._origin is None:
            return load_artifact(folder) if folder.is_dir() else None
        if folder.is_dir():
            with suppress(ManifestError):
                return load_artifact(folder)
            shutil.rmtree(folder)  # a damaged copy of what the store has
        manifest = self._origin.find(place_of(folder))
        return None if manifest is None else Artifact(folder, manifest)

    def current(self, asset: str, partition: str | None = None) -> Artifact:
        """Return the current result of an asset.

        Raises:
            ManifestError: It was never made, or is damaged; the message says what to run.
        """
        pointer = self._pulled(asset, partition)
        where = asset if partition is None else f"{asset}[{partition}]"
        if not pointer.is_file():
            raise ManifestError(
                f"{where}: not materialized yet for recipe '{self.layout.recipe}'; materialize "
                f"{asset} first (in the UI, or: tonsai run --select {asset})"
            )
        place = place_of(Path(cast("dict[str, str]", read_json(pointer))["path"]))
        folder = self.layout.root / "artifacts" / place
        return self.at(folder) or load_artifact(folder)

    def is_current(self, asset: str, partition: str | None, artifact: Artifact) -> bool:
        """Tell whether a finished result is the current one; another may have been made after it."""
        pointer = self._pulled(asset, partition)
        return pointer.is_file() and read_json(pointer) == self._pointer(artifact)

    def _point(self, asset: str, partition: str | None, artifact: Artifact) -> None:
        if not self.is_current(asset, partition, artifact):
            pointer = self.layout.current(asset, partition)
            if self._origin is not None:
                self._origin.push(pointer, json_bytes(self._pointer(artifact)))
            else:
                write_json(pointer, self._pointer(artifact))

    def _pulled(self, asset: str, partition: str | None) -> Path:
        """Return the file that says what is current, as new as the store has it."""
        if self._origin is not None:
            self._origin.pull(f"current/{self.layout.recipe}")
        return self.layout.current(asset, partition)

    def _pointer(self, artifact: Artifact) -> dict[str, str]:
        return {
            "path": artifact.folder.relative_to(self.layout.root).as_posix(),
            "data_version": artifact.data_version,
        }

    def _lock(self, asset: str, partition: str | None, key: str) -> AbstractContextManager[None]:
        return lock_file(self.layout.building(asset, partition, key).with_suffix(".lock"))

    def _finished(self, final: Path, key: str) -> Artifact | None:
        """Return the finished artifact, or None if there is none or it is damaged (then it is removed)."""
        try:
            artifact = self.at(final)
        except ManifestError:
            shutil.rmtree(final, ignore_errors=True)
            return None
        return artifact if artifact is not None and artifact.manifest.fingerprint == key else None

    def _resumed(self, final: Path, key: str) -> Artifact | None:
        """Publish a folder that was finished when its process was killed, or return None."""
        asset, partition, _ = final.parts[-3:]
        building = self.layout.building(asset, partition, key)
        if not (building / MANIFEST_NAME).is_file():
            return None
        try:
            finished = load_artifact(building)
        except ManifestError:
            shutil.rmtree(building)
            return None
        if finished.manifest.fingerprint != key:
            return None
        self._publish(building, final, finished.manifest, replaces=False)
        return self.at(final)

    def _publish(
        self, building: Path, final: Path, manifest: Manifest, *, replaces: bool
    ) -> Manifest:
        """Put a finished folder in its place and return what counts: where a machine was faster with other bytes, theirs."""
        if self._origin is not None:
            first = self._origin.publish(building, place_of(final), replaces=replaces)
            if first.data_version != manifest.data_version:
                shutil.rmtree(building)
                return first
        _move(building, final)
        return manifest


def load_artifact(path: Path) -> Artifact:
    """Open a finished folder.

    Raises:
        ManifestError: It is unfinished or damaged.
    """
    manifest = read_manifest(path)
    timings = path / TIMINGS_NAME
    known = cast("dict[str, float]", read_json(timings)) if timings.is_file() else None
    return Artifact(path, manifest, timings=known)


def _move(building: Path, final: Path) -> None:
    """Put a finished folder in its place; an old one there is gone only when the new one is there."""
    # Marks of finished parts, and what killed workers left behind, in every folder.
    for path in sorted(building.rglob(".*"), reverse=True):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    final.parent.mkdir(parents=True, exist_ok=True)
    replaced = building.with_suffix(".replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():
        final.replace(replaced)
    building.replace(final)
    sync_file(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _as_json(report: object) -> dict[str, Any]:
    """Return a report as it will be read from the manifest."""
    if is_dataclass(report) and not isinstance(report, type):
        plain = asdict(report)
    else:
        plain = dict(cast("Mapping[str, Any]", report))
    return orjson.loads(orjson.dumps(plain, option=JSON_OPTIONS))


def _peak_memory(building: Path) -> float:
    """Peak resident memory so far of this process and of every worker that made a part, in bytes."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    marks = [cast("dict[str, Any]", read_json(path)) for path in building.rglob(".done/*.json")]
    return float(max([own, *(mark.get("peak_memory_bytes", 0) for mark in marks)]))
