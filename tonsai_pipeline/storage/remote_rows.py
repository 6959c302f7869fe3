"""A split of packed rows <-> any fsspec URL: s3://, gs://, memory://, file://, ...

    train/ ──push_rows──▶ s3://bucket/train/        index.json last: an unfinished push is no split
    s3://bucket/train/ ──open_rows──▶ RowReader     fetched once into a local cache, every hash checked

Rows are read at random and memory-mapped, so they are fetched whole; training never waits for a bucket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tonsai_pipeline.errors import DataError, StorageError, TonsaiError
from tonsai_pipeline.storage.file_systems import make_folder, open_system, reason_of
from tonsai_pipeline.storage.files import atomic_path, digest_file, write_bytes
from tonsai_pipeline.storage.rows import INDEX_NAME, read_index
from tonsai_pipeline.storage.shards import RowReader

_CHUNK_BYTES = 8 << 20


def push_rows(folder: Path, url: str, **storage_options: Any) -> int:
    """Copy a split to a URL; what is there already is left as it is.

    Args:
        folder: A split, for example `packed_shards/train`.
        url: Where to; the folder is made.
        storage_options: For fsspec: credentials, endpoints.

    Returns:
        Bytes that were sent; 0 if the same split was there.

    Raises:
        DataError: The split is not readable or damaged.
        StorageError: The other side said no.
    """
    RowReader(folder).verify()
    index = (folder / INDEX_NAME).read_bytes()
    with _filesystem(url, storage_options) as (system, root):
        if system.exists(f"{root}/{INDEX_NAME}"):
            if system.cat_file(f"{root}/{INDEX_NAME}") == index:
                return 0
            # From here on the other folder is no split, until the new index is there.
            system.rm_file(f"{root}/{INDEX_NAME}")
        make_folder(system, root)
        sent = 0
        for name in _digests(folder):
            system.put_file(str(folder / name), f"{root}/{name}")
            sent += (folder / name).stat().st_size
        system.pipe_file(f"{root}/{INDEX_NAME}", index)
    return sent + len(index)


def open_rows(
    url: str, cache: Path, *, tokenizer_digest: str | None = None, **storage_options: Any
) -> RowReader:
    """Open a split at a URL; files are fetched into the cache unless they are there.

    Args:
        url: What `push_rows` was given.
        cache: Folder of fetched splits, each in a folder named by the hash of its index.
        tokenizer_digest: Refuse rows of another tokenizer; None accepts any.
        storage_options: For fsspec.

    Raises:
        DataError: There is no split, another version or tokenizer, or a file is damaged.
        StorageError: The other side said no.
    """
    with _filesystem(url, storage_options) as (system, root):
        try:
            index = system.cat_file(f"{root}/{INDEX_NAME}")
        except FileNotFoundError as error:
            raise DataError(f"{url}: no {INDEX_NAME}: not a split, or not pushed whole") from error
        folder = cache / hashlib.sha256(index).hexdigest()[:16]
        if not (folder / INDEX_NAME).is_file():
            incoming = folder / ".incoming"
            write_bytes(incoming / INDEX_NAME, index)
            for name, digest in _digests(incoming).items():
                _fetch(system, f"{root}/{name}", folder / name, digest)
            # Last, as everywhere: a folder with an index is whole.
            (incoming / INDEX_NAME).replace(folder / INDEX_NAME)
            incoming.rmdir()
    return RowReader(folder, tokenizer_digest=tokenizer_digest)


def _fetch(system: Any, source: str, path: Path, digest: str) -> None:
    """Copy a file from the other side and check its hash; one that is there already is kept."""
    if path.is_file() and digest_file(path) == digest:
        return
    hasher = hashlib.sha256()
    with atomic_path(path) as temporary:
        with system.open(source, "rb") as stream, temporary.open("wb") as target:
            while chunk := stream.read(_CHUNK_BYTES):
                hasher.update(chunk)
                target.write(chunk)
        if hasher.hexdigest() != digest:
            raise DataError(
                f"{source}: damaged: its SHA-256 is not the one in {INDEX_NAME}; push the split again"
            )


def _digests(folder: Path) -> Mapping[str, str]:
    """Return the SHA-256 of every file of a split but its index.

    Raises:
        DataError: The index is damaged or names a file outside the split.
    """
    index = read_index(folder)
    try:
        found = {shard["file"]: shard["sha256"] for shard in index["shards"]} | index["tables"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / INDEX_NAME}: lacks {error}") from error
    for name in found:
        if Path(name).name != name:
            raise DataError(f"{folder / INDEX_NAME}: {orjson.dumps(name).decode()} is not a name")
    return found


@contextmanager
def _filesystem(url: str, options: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a URL and the path in it; what it raises is told with the URL."""
    try:
        system, root = open_system(url, **options)
        yield system, root.rstrip("/")
    except TonsaiError:
        raise
    except Exception as error:  # every fsspec protocol has errors of its own
        raise StorageError(f"{url}: {reason_of(error, url)}") from error
