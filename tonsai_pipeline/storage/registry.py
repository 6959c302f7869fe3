"""The registry of dumps: those added by hand, and those switched off, for one recipe.

    dumps/<recipe>.json ◀──save── Registry(added, off) ◀──load── dumps/<recipe>.json

Files in the inbox and in the recipe need no entry; switching a dump off never touches its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import read_json, write_json


@dataclass(frozen=True)
class AddedDump:
    """A dump that a person added: files that are neither in the recipe nor in the inbox."""

    source: str
    date: str
    path: str

    @property
    def key(self) -> DumpKey:
        """Dump key."""
        return DumpKey.of(self.source, self.date)


@dataclass(frozen=True)
class Registry:
    """What people decided about dumps."""

    added: tuple[AddedDump, ...] = ()
    off: tuple[str, ...] = ()

    def add(self, dump: AddedDump) -> Registry:
        """Return the registry with a dump added, and switched on if it was off."""
        # In the order of addition: a file added later must not change what earlier ones are called.
        added = tuple(dict.fromkeys((*self.added, dump)))
        return replace(self.switch(dump.key, is_on=True), added=added)

    def switch(self, key: str, *, is_on: bool) -> Registry:
        """Return the registry with a dump switched on or off."""
        off = set(self.off) - {key} if is_on else {*self.off, key}
        return replace(self, off=tuple(sorted(off)))


def load_registry(path: Path) -> Registry:
    """Read a registry; no file is an empty registry.

    Raises:
        StorageError: The file is damaged; it is small and meant to be mended by hand.
    """
    if not path.is_file():
        return Registry()
    try:
        raw = cast("Mapping[str, Any]", read_json(path))
        added = tuple(AddedDump(**entry) for entry in raw["added"])
        return Registry(added, tuple(raw["off"]))
    except (KeyError, TypeError) as error:
        raise StorageError(
            f"{path}: not a registry of dumps: {error!r}; mend or remove it"
        ) from error


def save_registry(path: Path, registry: Registry) -> None:
    """Write a registry."""
    write_json(
        path, {"added": [asdict(dump) for dump in registry.added], "off": list(registry.off)}
    )
