"""What is known of dumps that did not get in yet: a file a dump, written before the work and removed after it.

    begin ──▶ dumps/<recipe>.attempts/<key>.json ──done──▶ gone
                        ├─fail(reason)──▶ three of the same content and settings, or one for good ──▶ set aside
                        └─take_back──▶ as before: the disk was full, or a person ended the run

A process that is killed leaves the entry of its beginning, so a dump that kills its process is counted too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import digest_json, read_json, write_json

#: A third failure on the same bytes with the same settings is no accident.
MAX_ATTEMPTS = 3
_LOST = "its process was killed or lost"


@dataclass(frozen=True)
class Attempt:
    """Attempts at one dump, the last of which did not succeed or still goes on.

    Args:
        work: Names the content of the dump and the settings that read it; other work starts anew.
        num_failed: Attempts that were begun and not finished.
        reason: What the last one said.
    """

    work: str
    num_failed: int
    reason: str

    @property
    def is_set_aside(self) -> bool:
        """Whether it is not tried again until content or settings change."""
        return self.num_failed >= MAX_ATTEMPTS


class Attempts:
    """The unfinished attempts of a recipe.

    Args:
        folder: Where their files are.
        recipe: Its settings of reading and normalizing belong to the work.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._folder = folder
        self._settings = {
            source.name: digest_json([part.model_dump(mode="json") for part in parts])
            for source in recipe.sources
            for parts in [(source, recipe.ingest, recipe.normalize, recipe.dedup)]
        }

    def of(self, key: DumpKey, version: str) -> Attempt | None:
        """Return the attempts at this content of a dump, None if there are none."""
        path = self._path(key)
        if not path.is_file():
            return None
        known = Attempt(**cast("dict[str, Any]", read_json(path)))
        return known if known.work == self._work(key, version) else None

    def keys(self) -> set[str]:
        """Return the dumps that have entries, of whatever content."""
        return {path.stem for path in self._folder.glob("*.json")}

    def begin(self, key: DumpKey, version: str) -> None:
        """Note that an attempt begins; until it is done it counts as lost."""
        known = self.of(key, version)
        num_failed = 1 + (known.num_failed if known else 0)
        self._write(key, Attempt(self._work(key, version), num_failed, _LOST))

    def fail(self, key: DumpKey, version: str, reason: str, *, for_good: bool = False) -> Attempt:
        """Note why the attempt that began failed; for good, if no other is to be made."""
        known = self.of(key, version)
        num_failed = MAX_ATTEMPTS if for_good else known.num_failed if known else 1
        failed = Attempt(self._work(key, version), num_failed, reason)
        self._write(key, failed)
        return failed

    def take_back(self, key: DumpKey, before: Attempt | None) -> None:
        """Forget the attempt that began.

        Args:
            key: The dump.
            before: What was known of it before the attempt.
        """
        if before is None:
            self.done(key)
        else:
            self._write(key, before)

    def done(self, key: str) -> None:
        """Forget a dump: it is in, or a person wants it tried anew."""
        self._path(key).unlink(missing_ok=True)

    def _write(self, key: str, attempt: Attempt) -> None:
        write_json(self._path(key), asdict(attempt))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _work(self, key: DumpKey, version: str) -> str:
        return digest_json([version, self._settings[key.source]])
