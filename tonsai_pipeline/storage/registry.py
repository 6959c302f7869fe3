"""The registry of dumps: those added by hand, and those switched off, for one recipe.

    dumps/<recipe>.json ◀──change── Registry(added, off) ◀──read── dumps/<recipe>.json

Where the data root lies in an object store, each change is a new object `dumps/<recipe>/<number>.json` that is created once: of
two machines that change at the same time the second reads again what the first wrote. Files in the inbox and in the recipe need no entry; switching a dump off never touches its files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import orjson

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import json_bytes, read_json, write_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.lease import lock_file
from tonsai_pipeline.storage.origin import Origin, open_origin


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
    return _parse(read_json(path), str(path))


def save_registry(path: Path, registry: Registry) -> None:
    """Write a registry."""
    write_json(path, _as_json(registry))


def read_registry(layout: Layout) -> Registry:
    """Return the registry of a recipe, wherever its data root lies; errors as of `load_registry`."""
    origin = open_origin(layout.root)
    return load_registry(layout.registry) if origin is None else _newest(origin, layout)[1]


def change_registry(layout: Layout, change: Callable[[Registry], Registry]) -> None:
    """Change the registry of a recipe; `change` may be called again if somebody else changed it meanwhile."""
    origin = open_origin(layout.root)
    if origin is None:
        with lock_file(layout.registry.with_suffix(".lock")):
            save_registry(layout.registry, change(load_registry(layout.registry)))
        return
    while True:
        number, registry = _newest(origin, layout)
        key = f"dumps/{layout.recipe}/{number + 1:08}.json"
        if origin.bucket.create(key, json_bytes(_as_json(change(registry)))):
            return


def _newest(origin: Origin, layout: Layout) -> tuple[int, Registry]:
    folder = f"dumps/{layout.recipe}"
    names = [name for name in origin.bucket.list(folder) if name.removesuffix(".json").isdecimal()]
    if not names:
        return 0, Registry()
    key = f"{folder}/{max(names)}"
    place = f"{origin.bucket.url}/{key}"
    try:
        found = orjson.loads(origin.bucket.read(key) or b"")
    except orjson.JSONDecodeError as error:
        raise StorageError(f"{place}: not a registry of dumps: {error}; remove it") from error
    return int(max(names).removesuffix(".json")), _parse(found, place)


def _as_json(registry: Registry) -> dict[str, Any]:
    return {"added": [asdict(dump) for dump in registry.added], "off": list(registry.off)}


def _parse(value: object, place: str) -> Registry:
    try:
        raw = cast("Mapping[str, Any]", value)
        added = tuple(AddedDump(**entry) for entry in raw["added"])
        return Registry(added, tuple(raw["off"]))
    except (KeyError, TypeError) as error:
        raise StorageError(
            f"{place}: not a registry of dumps: {error!r}; mend or remove it"
        ) from error
