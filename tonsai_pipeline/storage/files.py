"""Small promises about files: bytes -> a file that is whole or not there at all.

Everything that writes goes through a temporary name in the same folder, `fsync` and a rename, so that a
killed process leaves no half file under a final name. Names beginning with `.tmp-` are never read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import orjson

from tonsai_pipeline.errors import RecipeError, StorageError

_CHUNK_BYTES = 1 << 20
#: How values become JSON in every file and every hash.
JSON_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    Raises:
        StorageError: The disk is full, read-only or denies access; the message names the path.
    """
    temporary = path.with_name(f".tmp-{os.getpid()}-{threading.get_ident()}-{path.name}")
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON with sorted keys and a final newline, atomically."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return `value` as `write_json` writes it."""
    options = JSON_OPTIONS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=options)


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        StorageError: The file is missing or is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StorageError(f"{path}: cannot be read as JSON: {error}") from error


def digest_json(value: object) -> str:
    """Return the SHA-256 of a JSON value in canonical form, in hex."""
    return hashlib.sha256(orjson.dumps(value, option=JSON_OPTIONS)).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex, reading it in constant memory."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def name_contents(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and bytes of all files below a folder; hidden ones left out.

    Raises:
        RecipeError: There is nothing at that path.
    """
    if path.is_file():
        return _digest_stat(path, *_stat(path))
    if not path.is_dir():
        raise RecipeError(f"{path}: no such file")
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    names = [(file, file.relative_to(path)) for file in files]
    return digest_json(
        [
            [name.as_posix(), _digest_stat(file, *_stat(file))]
            for file, name in names
            if not any(piece.startswith(".") for piece in name.parts)
        ]
    )


def _stat(path: Path) -> tuple[int, int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


@lru_cache(maxsize=4096)
def _digest_stat(path: Path, *_stat_of_file: int) -> str:
    """Hash a file once a process, as long as nobody touches it."""
    return digest_file(path)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file, or every file below a folder, a second name without copying bytes, where the disk allows.

    Only within the store: whoever edits one of two links edits both.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file():
                link_or_copy(path, target / path.relative_to(source))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync_file(path: Path) -> None:
    """Flush a file's bytes to the device."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


#: errno -> what the user can do about it.
_WAYS_OUT = {
    errno.ENOSPC: "the disk is full: free space or point TONSAI_HOME at another disk; "
    "finished parts are kept, so run the same command again",
    errno.EDQUOT: "the disk quota is used up: free space or point TONSAI_HOME at another disk",
    errno.EROFS: "the file system is read-only: point TONSAI_HOME at a writable folder",
    errno.EACCES: "permission denied: make the folder writable or point TONSAI_HOME elsewhere",
    errno.EPERM: "permission denied: make the folder writable or point TONSAI_HOME elsewhere",
    errno.EEXIST: "a file stands where a folder is needed: move it or point TONSAI_HOME elsewhere",
    errno.ENOTDIR: "a file stands where a folder is needed: move it or point TONSAI_HOME elsewhere",
}


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn operating-system errors that a user can mend into a `StorageError` that says how."""
    try:
        yield
    except OSError as error:
        way_out = _WAYS_OUT.get(error.errno or 0)
        if way_out is None:
            raise
        raise StorageError(f"{path}: {way_out} ({error.strerror})") from error
