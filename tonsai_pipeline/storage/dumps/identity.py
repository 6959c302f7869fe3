"""Dump file -> the identity of its content, cheap where nothing changed.

    local file ─── SHA-256, remembered by (path, size, mtime) ──▶ "sha256:..."
    fsspec URL ─── what the store says (ETag, checksum, date) ───▶ "ukey:..."
    hub://...  ─── the commit that the revision names now ──────▶ "hub:<id>@<commit>..."

Modification times are only used to skip reading; they never become part of an identity, so that a copied or
touched file is the same file.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.errors import DumpError, redact
from tonsai_pipeline.storage.bucket import etag_of
from tonsai_pipeline.storage.dumps.compression.streams import is_url
from tonsai_pipeline.storage.dumps.hub import HubLocation, list_files
from tonsai_pipeline.storage.dumps.stored import Stored, ask_store, ask_stores
from tonsai_pipeline.storage.files import digest_file, digest_json, read_json, write_json
from tonsai_pipeline.storage.lease import lock_file

#: A file changed this recently may change again within one tick of its clock: it is hashed, not remembered.
_RACY_S = 2.0
#: How long a branch's commit is taken as known; a sensor looks every half minute.
_COMMIT_AGE_S = 3600.0
#: How long a Hub that did not answer is left alone: its time-out would be paid by every command.
_FAILURE_AGE_S = 300.0
_HUB_TIMEOUT_S = 10.0
#: How long it is said that a file at a URL is another one.
_NEWS_S = 86_400.0
_KINDS = ("files", "commits", "urls", "listings")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: A file of a commit, which never changes.
_PINNED = re.compile(r"hf://[^@]*@[0-9a-f]{40}/")


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
        self._files, self._commits, self._urls, self._listings = (known[kind] for kind in _KINDS)
        self._learnt: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _KINDS}
        self._said: dict[str, Stored] = {}
        #: What a person should know: a store that could not be asked, a file that is another one.
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
            self._said[url] = Stored(tag, info.get("size"))

    def ask(self, urls: Iterable[str]) -> None:
        """Ask the stores of many files at once.

        One that does not answer, or has the file no more, is taken at its last word: what was made of the file stays in use.

        Raises:
            DumpError: Nothing was ever known of a file.
        """
        # A URL may hold a secret, which is not written down.
        names = {url: hashlib.sha256(url.encode()).hexdigest() for url in urls}
        waiting = []
        for url, name in names.items():
            if _PINNED.match(url) and (known := self._urls.get(name)) is not None:
                self._said[url] = Stored(known["tag"], known["num_bytes"])
            elif url not in self._said:
                waiting.append(url)
        for url, said in zip(waiting, ask_stores(waiting), strict=True):
            name = names[url]
            known = self._urls.get(name)
            if isinstance(said, DumpError):
                if known is None:
                    raise said
                self.problems.append(
                    f"{said}; what was made of it stays in use, nothing new can be made of it until it is back "
                    "(tonsai dumps remove leaves its dump out)"
                )
                self._said[url] = Stored(known["tag"], known["num_bytes"])
                continue
            self._said[url] = said
            if known is None or known["tag"] != said.tag:
                known = {**said._asdict(), "before": known and known["tag"], "seen_s": self._now_s}
                self._urls[name] = self._learnt["urls"][name] = known
            if known["before"] and self._now_s - known["seen_s"] < _NEWS_S:
                self.problems.append(
                    f"{redact(url)}: is another file than before (its tag was '{known['before']}', it is '{said.tag}'): a new "
                    "version of its dump"
                )

    def stored(self, url: str) -> Stored:
        """Return what is known of a file at a URL; errors as of `ask`."""
        self.ask([url])
        return self._said[url]

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

    def files_of(self, hub: HubLocation) -> list[str]:
        """Return the files of a pinned split; a commit is asked once.

        Raises:
            DumpError: It does not resolve, or no commit is known.
        """
        if hub.revision is None or _COMMIT.fullmatch(hub.revision) is None:
            raise DumpError(f"{hub}: {'; '.join(self.problems) or 'no commit is known'}")
        name = f"{hub.id}@{hub.revision} {hub.config} {hub.split}"
        known = self._listings.get(name)
        if known is None:
            known = {"files": sorted(list_files(hub))}
            self._listings[name] = self._learnt["listings"][name] = known
        return known["files"]

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
        self._learnt = {kind: {} for kind in _KINDS}

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
        return f"ukey:{hashlib.sha256(self.stored(url).tag.encode()).hexdigest()}"

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


def _read(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    known = cast("Mapping[str, Any]", read_json(path)) if path.is_file() else {}
    return {kind: dict(known.get(kind, {})) for kind in _KINDS}


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
        return ask_store(location).tag
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
            return ask_store(location).num_bytes
        # A size is for the eyes; reading the URL will report what is wrong with it.
        except DumpError:
            return None
    path = Path(location)
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    except OSError as error:
        raise DumpError(f"{location}: cannot be read: {error.strerror or error}") from error
