"""Where data lies: a folder, or an object store and a folder of this machine that works for it.

    ./tonsai_data ────────open_root──▶ that folder
    s3://bucket/root ─────open_root──▶ <TONSAI_CACHE>/s3-bucket-root-5b0c21a7/ with origin.json, which names the URL

Whatever is given such a folder, by its path alone, knows where its results come from and go to (`origin.py`).
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from tonsai_pipeline.storage.bucket import Bucket
from tonsai_pipeline.storage.files import translate_os_errors, write_json
from tonsai_pipeline.storage.layout import ORIGIN_NAME, origin_url


def open_root(place: str | Path) -> Path:
    """Return the folder in which this machine works for a data root.

    Args:
        place: A folder, or a URL of an object store.

    Raises:
        StorageError: The store may not be written, or cannot keep two machines apart.
    """
    # `Path` takes a slash out of a URL.
    if not re.match(r"[a-z][a-z0-9+.-]*://", str(place)):
        return Path(place)
    url = str(place).rstrip("/")
    name = re.sub(r"[^a-z0-9]+", "-", url.lower()).strip("-")[:60]
    folder = cache_folder() / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    if origin_url(folder) is None:
        Bucket(url).check()
        with translate_os_errors(folder):
            write_json(folder / ORIGIN_NAME, {"url": url})
    return folder


def default_root() -> Path:
    """Return the data root: TONSAI_HOME, or `tonsai_data` in the working folder where that is unset or empty."""
    return open_root(os.environ.get("TONSAI_HOME") or "tonsai_data").absolute()


def cache_folder() -> Path:
    """Return the folder of working copies: TONSAI_CACHE, or `tonsai/roots` in the user's cache."""
    if given := os.environ.get("TONSAI_CACHE"):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tonsai" / "roots"
