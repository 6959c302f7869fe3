"""What a finished artifact folder holds: files with sizes and hashes, counts, fingerprint; written last.

    folder of files ──describe──▶ Manifest ──write──▶ manifest.json       (its presence means: complete)

The *fingerprint* names the work (stage version, settings, input data versions); the *data version* names
the result (a hash over the files and the report, for both are read). Equal data versions mean equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.storage.files import digest_file, digest_json, write_json

MANIFEST_NAME = "manifest.json"
#: Written before the manifest and left out of it: seconds and memory differ from run to run.
TIMINGS_NAME = "timings.json"
_FORMAT = "tonsai-artifact/2"


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: path relative to the folder, size in bytes, SHA-256 in hex."""

    path: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`; every field but the file list is plain JSON.

    `made_from` are the folders below `artifacts/` of what it was made from; None where that was not written yet.
    """

    asset: str
    partition: str | None
    stage_version: str
    fingerprint: str
    data_version: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: tuple[FileEntry, ...]
    report: Mapping[str, Any]
    made_from: tuple[str, ...] | None = None

    @property
    def num_bytes(self) -> int:
        """Size of all files, in bytes."""
        return sum(entry.num_bytes for entry in self.files)


def fingerprint(
    asset: str,
    partition: str | None,
    stage_version: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> str:
    """Name a piece of work: equal arguments, equal name (SHA-256, hex).

    Args:
        asset: Name of the stage.
        partition: Dump key, or None.
        stage_version: Version of the algorithm; bumped when the same input would give other bytes.
        settings: The settings that change the result, as JSON values.
        inputs: Data version of every input, by name.
    """
    return digest_json(
        {
            "asset": asset,
            "partition": partition,
            "version": stage_version,
            "settings": settings,
            "inputs": dict(inputs),
        }
    )


def describe_files(folder: Path) -> tuple[FileEntry, ...]:
    """Hash every file below `folder`, in path order; manifest, timings and temporary names left out."""
    entries = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(piece.startswith(".") for piece in Path(name).parts)
        if path.is_file() and not hidden and name not in (MANIFEST_NAME, TIMINGS_NAME):
            entries.append(FileEntry(name, path.stat().st_size, digest_file(path)))
    return tuple(entries)


def data_version(files: tuple[FileEntry, ...], report: Mapping[str, Any]) -> str:
    """Name a result by its bytes: the hash of every path and hash, and of the report (SHA-256, hex)."""
    return digest_json([[[entry.path, entry.sha256] for entry in files], report])


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into `folder`; from now on the folder counts as complete."""
    # Not `asdict`, which copies the report, value by value.
    files = [vars(entry) for entry in manifest.files]
    write_json(folder / MANIFEST_NAME, {"format": _FORMAT, **vars(manifest), "files": files})


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a folder.

    Raises:
        ManifestError: No manifest, an unknown format, or a listed file is missing or has another size.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ManifestError(f"{folder}: no {MANIFEST_NAME}: the stage that makes it did not finish")
    manifest = parse_manifest(path.read_bytes(), path)
    _check_sizes(folder, manifest.files)
    return manifest


def parse_manifest(data: bytes, path: Path) -> Manifest:
    """Return what a `manifest.json` says, whatever lies beside it.

    Args:
        data: Its bytes.
        path: Where they were read, for messages.

    Raises:
        ManifestError: It is damaged or of an unknown format.
    """
    try:
        raw = cast("dict[str, Any]", orjson.loads(data))
    except orjson.JSONDecodeError as error:
        raise ManifestError(f"{path}: damaged: {error}; run the stage again") from error
    if not isinstance(raw, dict) or raw.pop("format", None) != _FORMAT:
        raise ManifestError(f"{path}: not a {_FORMAT} manifest; run the stage again")
    try:
        files = tuple(FileEntry(**entry) for entry in raw.pop("files"))
        made_from = raw.pop("made_from", None)
        return Manifest(
            files=files, made_from=None if made_from is None else tuple(made_from), **raw
        )
    except (KeyError, TypeError) as error:
        raise ManifestError(f"{path}: damaged: {error}; run the stage again") from error


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Hash every file again and compare.

    Raises:
        ManifestError: A file's bytes are not those that were written; the message names it.
    """
    for entry in manifest.files:
        if digest_file(folder / entry.path) != entry.sha256:
            raise ManifestError(f"{folder / entry.path}: its bytes changed since it was written")


def _check_sizes(folder: Path, files: tuple[FileEntry, ...]) -> None:
    for entry in files:
        path = folder / entry.path
        size = path.stat().st_size if path.is_file() else None
        if size != entry.num_bytes:
            found = "is missing" if size is None else f"has {size} bytes"
            raise ManifestError(
                f"{path}: {found}, the manifest says {entry.num_bytes}; run the stage again"
            )
