"""Dump file -> the identity of its content, cheap where nothing changed.

    local file ─── SHA-256, remembered by (path, size, mtime) ──▶ "sha256:..."
    fsspec URL ─── what the store says (ETag, checksum, mtime) ──▶ "ukey:..."
    hub://...  ─── the commit that the revision names now ──────▶ "hub:<id>@<commit>..."

Modification times are only used to skip reading; they never become part of an identity, so that a copied or
touched file is the same file.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import fsspec

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.bucket import etag_of
from tonsai_pipeline.storage.dumps.compression.streams import is_url
from tonsai_pipeline.storage.dumps.hub import HubLocation
from tonsai_pipeline.storage.files import digest_file, digest_json, read_json, write_json
from tonsai_pipeline.storage.lease import lock_file

#: A file changed this recently may change again within one tick of its clock: it is hashed, not remembered.
_RACY_S = 2.0
#: How long a branch's commit is taken as known; a sensor looks every half minute.
_COMMIT_AGE_S = 3600.0
#: How long a Hub that did not answer is left alone: its time-out would be paid by every command.
_FAILURE_AGE_S = 300.0
_HUB_TIMEOUT_S = 10.0
_COMMIT = re.compile(r"[0-9a-f]{40}")


class ContentHashes:
    """Identities of dump files, remembered in one JSON file.

    Args:
        path: The file that remembers.
        now_s: Seconds since the epoch; None for the clock.
        reads: Whether files that are not known are read. If not, they are named by their stamps, which are nobody's
            content: what was made of them is found when somebody has read them.
    """

    def __init__(self, path: Path, *, now_s: float | None = None, reads: bool = True) -> None:
        self.path = path
        self._reads = reads
        self._now_s = time.time() if now_s is None else now_s
        known = _read(path)
        self._files, self._commits = known["files"], known["commits"]
        self._learnt: dict[str, dict[str, dict[str, Any]]] = {"files": {}, "commits": {}}
        self._told: dict[str, str] = {}
        #: What a person should know: a Hub that could not be asked.
        self.problems: list[str] = []

    def of(self, location: str) -> str:
        """Return the identity of a file, folder or URL.

        Raises:
            DumpError: It cannot be read.
        """
        if is_url(location):
            return self._of_url(location)
        path = Path(location)
        try:
            if path.is_dir():
                files = sorted(file for file in path.rglob("*") if file.is_file())
                parts = [[file.relative_to(path).as_posix(), self._of_file(file)] for file in files]
                return f"sha256:{digest_json(parts)}"
            return f"sha256:{self._of_file(path)}"
        except OSError as error:
            raise DumpError(f"{location}: cannot be read: {error.strerror or error}") from error

    def tell(self, url: str, info: Mapping[str, Any]) -> None:
        """Learn what a listing said of an object, which then is not asked for alone."""
        if (tag := etag_of(info)) is not None:
            self._told[url] = tag

    def pin(self, hub: HubLocation) -> HubLocation:
        """Replace a branch or tag by the commit it names now, so that what is read is what was named.

        Without a network the last known commit is taken; if there is none the location stays as it is.
        """
        if (hub.revision and _COMMIT.fullmatch(hub.revision)) or Path(hub.id).is_dir():
            return hub
        name = f"{hub.id}@{hub.revision or 'main'}"
        known = self._commits.get(name)
        age_s = _FAILURE_AGE_S if known is not None and known["problem"] else _COMMIT_AGE_S
        if known is None or self._now_s - known["checked_s"] > age_s:
            known = self._ask_hub(hub, known)
            self._commits[name] = self._learnt["commits"][name] = known
        if known["problem"]:
            self.problems.append(known["problem"])
        return replace(hub, revision=known["commit"]) if known["commit"] else hub

    def of_hub(self, hub: HubLocation) -> str:
        """Return the identity of a pinned Hub location; reading by network or by copy is the same text."""
        fields = [hub.id, hub.config, hub.split, hub.revision, hub.max_samples]
        content = self.of(hub.id) if Path(hub.id).is_dir() else None
        return f"hub:{digest_json([*fields, content])}"

    def save(self) -> None:
        """Add what was learnt, if anything was, to what other processes have written meanwhile."""
        if not any(self._learnt.values()):
            return
        with lock_file(self.path.with_suffix(".lock")):
            known = _read(self.path)
            write_json(self.path, {kind: known[kind] | self._learnt[kind] for kind in known})
        self._learnt = {"files": {}, "commits": {}}

    def _of_file(self, path: Path) -> str:
        before = path.stat()
        key = str(path.absolute())
        known = self._files.get(key)
        stamp = stat_stamp(before)
        if known is not None and {name: known.get(name) for name in stamp} == stamp:
            return known["sha256"]
        if not self._reads:
            return f"unread:{digest_json(stamp)}"
        digest = digest_file(path)
        after = path.stat()
        is_settled = self._now_s - max(after.st_mtime, after.st_ctime) > _RACY_S
        if is_settled and stat_stamp(after) == stamp:
            self._files[key] = self._learnt["files"][key] = {**stamp, "sha256": digest}
        return digest

    def _of_url(self, url: str) -> str:
        said = self._told.get(url) or _ask_store(url)
        return f"ukey:{hashlib.sha256(said.encode()).hexdigest()}"

    def _ask_hub(self, hub: HubLocation, known: Mapping[str, Any] | None) -> dict[str, Any]:
        """Ask which commit a revision names; a Hub that does not answer leaves the last one known."""
        from huggingface_hub import HfApi

        try:
            found = HfApi().dataset_info(hub.id, revision=hub.revision, timeout=_HUB_TIMEOUT_S)
        # The Hub's client and the network below it have dozens of errors; all mean the same here.
        except Exception as error:  # noqa: BLE001
            commit = known["commit"] if known else None
            instead = f"the last known commit {commit[:12]}" if commit else "its name alone"
            problem = (
                f"{hub}: the Hub cannot be asked for its commit ({type(error).__name__}); going by "
                f"{instead}; pin 'revision' to a commit in the recipe"
            )
            return {"commit": commit, "checked_s": self._now_s, "problem": problem}
        return {"commit": found.sha, "checked_s": self._now_s, "problem": None}


def _ask_store(url: str) -> str:
    """Return what a store says of an object that changes with its bytes.

    Raises:
        DumpError: It cannot be asked.
    """
    try:
        # A listing that was kept would not know what came since.
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        # Web servers behind one address may differ in their ETags: a web address is taken as it is.
        tag = None if url.startswith("http") else etag_of(system.info(path))
        return tag or str(system.ukey(path))
    except Exception as error:  # every fsspec protocol has its own errors
        raise DumpError(f"{url}: cannot be asked: {type(error).__name__}: {error}") from error


def _read(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    known = cast("Mapping[str, Any]", read_json(path)) if path.is_file() else {}
    return {"files": dict(known.get("files", {})), "commits": dict(known.get("commits", {}))}


def stat_stamp(stat: os.stat_result) -> dict[str, int]:
    """Return what changes when somebody writes to a file or puts another in its place.

    The time of the last change is in it, which no copying tool can set back as it can the time of the contents.
    """
    return {
        "num_bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }


def location_stamp(location: str) -> str:
    """Return what changes when somebody writes to a file, folder or URL; the location itself for one of the Hub.

    Raises:
        DumpError: It is missing.
    """
    path = Path(location)
    if location.startswith("hub://"):
        return location
    if is_url(location):
        return _ask_store(location)
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        return digest_json([[str(file), stat_stamp(file.stat())] for file in files])
    except OSError as error:
        raise DumpError(f"{location}: cannot be read: {error.strerror or error}") from error


def location_mtime(location: str) -> float:
    """Return when a local file, or the youngest of a folder, was written last, in seconds since the epoch; 0 elsewhere.

    Raises:
        DumpError: It is missing.
    """
    path = Path(location)
    if is_url(location) or location.startswith("hub://"):
        return 0.0
    try:
        files = path.rglob("*") if path.is_dir() else [path]
        return max((file.stat().st_mtime for file in files), default=0.0)
    except OSError as error:
        raise DumpError(f"{location}: cannot be read: {error.strerror or error}") from error


def location_bytes(location: str) -> int | None:
    """Return the stored size of a file, folder or URL in bytes; None where it cannot be known.

    Raises:
        DumpError: A local file is missing.
    """
    if location.startswith("hub://"):
        return None
    if is_url(location):
        try:
            system, path = fsspec.core.url_to_fs(location)
            return system.size(path)
        # A size is for the eyes; reading the URL will report what is wrong with it.
        except Exception:  # noqa: BLE001
            return None
    path = Path(location)
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    except OSError as error:
        raise DumpError(f"{location}: cannot be read: {error.strerror or error}") from error
