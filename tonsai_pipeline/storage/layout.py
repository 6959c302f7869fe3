"""Every path in the project, from the data root.

<root>/                       TONSAI_HOME, by default ./tonsai_data
  inbox/                      raw dumps, dropped by people: <source>@<date>.<ext> or <source>/<date>/...
  artifacts/<asset>/<partition or "all">/<fingerprint>/     finished results, never changed
  building/<asset>/...        unfinished results; a killed stage goes on from here
  current/<recipe>/<asset>/<partition or "all">.json        which result is the current one
  dumps/<recipe>.json         dumps registered by hand, and dumps switched off
  dumps/<recipe>.attempts/    dumps that did not get in yet, and why
  alive/                      a file that the process of a run holds locked
  runs/                       training runs: checkpoints and metrics, by fingerprint
  pages/                      a page for people, an artifact each
  origin.json                 the URL of the data root, where it lies in an object store (`data_root.py`); then
  fetched/                    has results of which only the manifest or single files were fetched, and the inbox and
                              dumps/<recipe>/ are in the store
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import read_json

WHOLE = "all"
ORIGIN_NAME = "origin.json"
#: Characters of a fingerprint in a folder name: 64 bits, enough for one store.
_SHORT = 16


@dataclass(frozen=True)
class Layout:
    """The paths below one data root.

    Args:
        root: The data root.
        recipe: Name of the recipe whose current results are meant.
    """

    root: Path
    recipe: str

    @classmethod
    def of_artifact(cls, path: Path) -> Layout:
        """Return the layout that a finished artifact lies in, of no recipe."""
        return cls(path.parents[3], "")

    @property
    def inbox(self) -> Path:
        """Folder that the new-dump sensor watches."""
        return self.root / "inbox" / self.recipe

    @property
    def inbox_place(self) -> str:
        """Where people drop dumps: that folder, or its URL."""
        url = origin_url(self.root)
        return str(self.inbox) if url is None else f"{url}/inbox/{self.recipe}"

    @property
    def registry(self) -> Path:
        """File that remembers dumps added by hand and dumps switched off."""
        return self.root / "dumps" / f"{self.recipe}.json"

    @property
    def attempts(self) -> Path:
        """Folder of what is known of dumps that did not get in yet."""
        return self.root / "dumps" / f"{self.recipe}.attempts"

    @property
    def alive(self) -> Path:
        """Folder of the files that the processes of runs hold locked."""
        return self.root / "alive"

    @property
    def hashes(self) -> Path:
        """File that remembers the content hashes of raw dump files."""
        return self.root / "dumps" / "hashes.json"

    def artifact(self, asset: str, partition: str | None, fingerprint: str) -> Path:
        """Folder of a finished result."""
        return self.root / "artifacts" / asset / _part(partition) / fingerprint[:_SHORT]

    def building(self, asset: str, partition: str | None, fingerprint: str) -> Path:
        """Folder in which a result is being made."""
        return self.root / "building" / asset / _part(partition) / fingerprint[:_SHORT]

    def current(self, asset: str, partition: str | None) -> Path:
        """File that points to the current result of an asset."""
        return self.root / "current" / self.recipe / asset / f"{_part(partition)}.json"

    def run(self, kind: str, fingerprint: str) -> Path:
        """Folder of a training run; it survives a cancelled asset, so that the next one resumes."""
        return self.root / "runs" / kind / fingerprint[:_SHORT]


def _part(partition: str | None) -> str:
    """Return the folder of a partition; no text but a dump key is ever part of a path.

    Raises:
        RecipeError: It is no dump key.
    """
    if partition is None or partition == WHOLE:
        return WHOLE
    try:
        return DumpKey(partition)
    except ValueError as error:
        raise RecipeError(str(error)) from error


def origin_url(root: Path) -> str | None:
    """Return the URL of a data root that lies in an object store; None for one that is a folder alone."""
    path = root / ORIGIN_NAME
    return str(cast("dict[str, Any]", read_json(path))["url"]) if path.is_file() else None
