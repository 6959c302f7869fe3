"""What stores say of files at URLs, asked without reading them.

URLs ──ask_stores──▶ Stored(tag, num_bytes), or why a store did not answer
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage import file_systems
from tonsai_pipeline.storage.bucket import etag_of
from tonsai_pipeline.storage.file_systems import reason_of

#: A dump has thousands of files, and a store answers in tens of milliseconds.
_NUM_THREADS = 16
_CONNECT_S = 30.0
#: A connection that gives no byte for so long is taken as lost; a slow one is not.
_SILENT_S = 60.0


class Stored(NamedTuple):
    """A file at a URL as its store describes it.

    Attributes:
        tag: Changes with the bytes: ETag, date or checksum, with the size; of a server that says none of them, the size.
        num_bytes: Its size; None if the store does not say.
    """

    tag: str
    num_bytes: int | None


def open_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it."""
    # A listing that was kept would not know what came since.
    options: dict[str, Any] = {"use_listings_cache": False}
    if url.startswith("http"):
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
        options["client_kwargs"] = {"timeout": limits}
        # Else a server may compress on the way, and sizes and ranges are those of other bytes.
        options["headers"] = {"Accept-Encoding": "identity"}
    return file_systems.open_system(url, **options)


def stored_as(system: Any, path: str) -> Stored:
    """Ask a file system for a file."""
    info = system.info(path)
    size = info.get("size")
    return Stored(etag_of(info) or f"{system.ukey(path)} {size}", size)


def ask_store(url: str) -> Stored:
    """Ask the store of a URL.

    Raises:
        DumpError: It does not answer, or has no such file.
    """
    try:
        return stored_as(*open_system(url))
    except Exception as error:  # every fsspec protocol has its own errors
        raise DumpError(f"{url}: cannot be asked: {say(error, url)}") from error


def ask_stores(urls: Iterable[str]) -> list[Stored | DumpError]:
    """Ask for many files at once; what cannot be asked gives the error instead."""
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        return list(threads.map(_answer, urls))


def _answer(url: str) -> Stored | DumpError:
    try:
        return ask_store(url)
    except DumpError as error:
        return error


def say(error: BaseException, url: str) -> str:
    """Say what a file system raised; of a web server the reason stands behind what fsspec makes of it."""
    reason = error.__cause__ if isinstance(error, FileNotFoundError) else None
    return reason_of(reason or error, url)


def is_gone(error: BaseException) -> bool:
    """Whether an error says that there is no such file; over HTTP, fsspec says so of every failure."""
    if not isinstance(error, FileNotFoundError):
        return False
    reason = error.__cause__
    is_of_web = type(reason).__module__.startswith("aiohttp")
    return not is_of_web or getattr(reason, "status", None) in (404, 410)
