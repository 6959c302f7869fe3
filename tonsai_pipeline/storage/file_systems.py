"""URL -> the file system of its store; what that raises -> one line that a person can act on.

gs://bucket/key ──open_system──▶ (file system, "bucket/key")          error ──reason_of──▶ "there is no such bucket"
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any, cast

from tonsai_pipeline.errors import missing_extra

#: Object stores whose packages can put an object only where none stands, decided by the store.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")
#: Where a store's package looks for who asks, by protocol.
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}
_NO_BUCKET = re.compile(
    r"NoSuchBucket|ContainerNotFound|No such container|bucket does not exist", re.IGNORECASE
)
_REFUSED = re.compile(
    r"\b40[13]\b|forbidden|denied|credential|authenticat|authoriz|anonymous|InvalidAccessKeyId|Signature",
    re.IGNORECASE,
)


def open_system(url: str, **options: Any) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Ask for it each time: fsspec keeps one a process and thread, and a forked process must not use its parent's.

    Args:
        url: Any fsspec URL.
        options: For the file system.

    Raises:
        ImportError: Its package is not installed.
        Exception: Whatever the package raises where it cannot be opened.
    """
    import fsspec

    if _protocol(url) == "gs":
        # Else gcsfs asks over gRPC what kind of bucket it is, with threads that a fork does not survive, and again at
        # every request where nobody answers. Its plain JSON requests are what was tried.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        if "GCSFS_DEBUG" not in os.environ:
            # It logs what it raises, with all frames.
            logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    return cast("tuple[Any, str]", fsspec.core.url_to_fs(url, **options))


def make_folder(system: Any, path: str) -> None:
    """Make a folder and those above it; an object store has none, and S3's package would make the bucket of a wrong name."""
    names = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    if not set(names) & set(OBJECT_STORES):
        system.makedirs(path, exist_ok=True)


def reason_of(error: BaseException, url: str) -> str:
    r"""Return why a store's file system failed, in one line: the package, bucket or credentials that are missing, if so.

    Args:
        error: What it raised.
        url: What was asked for.

    Example:
        >>> reason_of(OSError("Forbidden: b/o\nme does not have access"), "gs://b/o")
        'OSError: Forbidden: b/o; credentials come from GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`'
    """
    if isinstance(error, ImportError):
        cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        extra = missing_extra(cause) if isinstance(cause, ModuleNotFoundError) else None
        return str(extra or error)
    text = str(error)
    # Google names what it did not find by an address alone; something to write to is a bucket.
    is_upload = isinstance(error, FileNotFoundError) and "/upload/storage/" in text
    if is_upload or _NO_BUCKET.search(text):
        return no_bucket(url)
    # Azure's errors go on with ids, times and XML.
    said = f"{type(error).__name__}: {text.splitlines()[0] if text else ''}".rstrip(": ")
    source = _CREDENTIALS.get(_protocol(url))
    if source is not None and _REFUSED.search(f"{type(error).__name__} {text}"):
        return f"{said}; credentials come from {source}"
    return said


def no_bucket(url: str) -> str:
    """Return what to say of a URL whose bucket is not there."""
    name = url.partition("://")[2].partition("/")[0].partition("@")[0]
    return f"the bucket does not exist: make the bucket (in Azure: container) '{name}' first"


def _protocol(url: str) -> str:
    # The last of a chain, such as `simplecache::gs://`, is a store's.
    protocol = url.rpartition("::")[2].partition("://")[0]
    return _ALIASES.get(protocol, protocol)
