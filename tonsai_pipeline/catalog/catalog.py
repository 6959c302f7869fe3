"""Recipe, inbox and registry -> the dumps there are, in catalog order.

    recipe sources: path, hub ─┐
    inbox/<recipe>/ ───────────┼─find_dumps──▶ Catalog(dumps by (date, order of source), problems)
    registry: added, off ──────┤                  └─write──▶ dumps.json ──read_catalog──▶ enabled dumps
    attempts: failed ──────────┘

A dump is one dated snapshot of one source, `<source>@<date>`; files found for it in several places are one
dump. Its `version` names its content: equal bytes under equal names, equal version, wherever they lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.catalog.attempts import Attempts
from tonsai_pipeline.catalog.discovery import (
    DATE,
    Found,
    find_added,
    find_in_inbox,
    find_in_recipe,
    nearest,
    source_names,
    unknown_source,
)
from tonsai_pipeline.errors import DumpError, RecipeError, has_login
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.dumps import (
    ContentHashes,
    HubLocation,
    Stored,
    is_hub,
    is_url,
    location_bytes,
    location_mtime,
    location_stamp,
)
from tonsai_pipeline.storage.dumps.locations import expand_path, name_files, why_nothing
from tonsai_pipeline.storage.files import digest_json, read_json, write_json
from tonsai_pipeline.storage.layout import Layout, origin_url
from tonsai_pipeline.storage.registry import (
    AddedDump,
    Registry,
    change_registry,
    read_registry,
)
from tonsai_pipeline.storage.store import Artifact

_CATALOG = "dumps.json"


@dataclass(frozen=True)
class Dump:
    """One dated snapshot of one source.

    Args:
        key: `<source>@<date>`, the Dagster partition key.
        files: Where its files are: paths, fsspec URLs, `hub://` locations; sorted by name.
        names: What its files are called in tables, without the folders of this machine.
        version: Identity of names and contents.
        is_on: False if a person switched it off.
        set_aside: Why it is left out after three failures; empty if it is not.
        hashes: File that remembers the content hashes of raw files.
        keeps_raw: Whether its text is kept as it was; if not, each file at a URL is compared when it is fetched.
    """

    key: DumpKey
    files: tuple[str, ...]
    names: tuple[str, ...]
    version: str
    is_on: bool = True
    set_aside: str = ""
    hashes: Path = field(default=Path(), repr=False, compare=False)
    keeps_raw: bool = True

    @property
    def enabled(self) -> bool:
        """Whether the corpus is made with it."""
        return self.is_on and not self.set_aside

    def is_growing(self, settled_before: float) -> bool:
        """Whether a file of it is so young that somebody may still be writing it; seconds since the epoch.

        Raises:
            DumpError: A file is gone.
        """
        return any(location_mtime(file) >= settled_before for file in self.files)

    def stamp(self) -> str:
        """Return what changes whenever somebody writes to the files, even the same bytes.

        Raises:
            DumpError: A file is gone.
        """
        if self.keeps_raw:
            return digest_json([location_stamp(file) for file in self.files])
        local = [location_stamp(file) for file in self.files if not is_url(file)]
        return digest_json([self.version, local])

    def stored(self) -> list[Stored]:
        """Return what the version says of each file; the tag of a file on this disk is empty.

        Raises:
            DumpError: A file cannot be asked for, or is another one now.
        """
        hashes = ContentHashes(self.hashes)
        if _version(self.files, self.names, hashes) != self.version:
            raise DumpError(
                f"{self.key}: {'; '.join(hashes.problems) or 'its files changed'}; run again"
            )
        return [
            hashes.stored(file) if is_url(file) else Stored("", location_bytes(file))
            for file in self.files
        ]

    def current_version(self) -> str:
        """Name the contents of the files as they are now.

        Raises:
            DumpError: A file cannot be read.
        """
        return _version(self.files, self.names, ContentHashes(self.hashes))


@dataclass(frozen=True)
class Catalog:
    """All dumps in catalog order, the switched-off ones too, and what a person should look at."""

    dumps: tuple[Dump, ...]
    problems: tuple[str, ...] = ()

    @property
    def enabled(self) -> tuple[Dump, ...]:
        """The dumps that are used."""
        return tuple(dump for dump in self.dumps if dump.enabled)

    @property
    def set_aside(self) -> dict[str, str]:
        """Why dumps are left out that failed for good."""
        return {dump.key: dump.set_aside for dump in self.dumps if dump.is_on and dump.set_aside}

    def as_json(self) -> dict[str, Any]:
        """Return what is used, without the folders of this machine."""
        dumps = [
            {
                "key": dump.key,
                "source": dump.key.source,
                "date": dump.key.date,
                "version": dump.version,
                "files": list(dump.names),
            }
            for dump in self.enabled
        ]
        return {"dumps": dumps, "set_aside": self.set_aside, "problems": list(self.problems)}

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the enabled dumps into a building folder and return the report."""
        found = self.as_json()
        write_json(folder / _CATALOG, found["dumps"])
        switched_off = [dump.key for dump in self.dumps if not dump.is_on]
        return {
            "num_dumps": len(found["dumps"]),
            "num_files": sum(len(dump["files"]) for dump in found["dumps"]),
            "switched_off": switched_off,
            "set_aside": found["set_aside"],
            "problems": found["problems"],
        }

    def __getitem__(self, key: str) -> Dump:
        """Return the dump of that key.

        Raises:
            RecipeError: There is none; the message names the nearest.
        """
        for dump in self.dumps:
            if dump.key == key:
                return dump
        keys = [dump.key for dump in self.dumps]
        raise RecipeError(
            f"dump '{key}': not in the catalog{nearest(key, keys)}; see: tonsai dumps list"
        )


def find_dumps(recipe: Recipe, layout: Layout, data_folder: Path, *, reads: bool = True) -> Catalog:
    """Find the dumps of every source and name their contents.

    Files that did not change since the last call are not read again. A dump whose files cannot be read is left out
    and a problem.

    Args:
        recipe: The recipe.
        layout: Where inbox, registry and remembered hashes are.
        data_folder: Where relative source paths start.
        reads: Whether new files are read; if not, this is quick, and their dumps have versions of nobody's content.

    Raises:
        RecipeError: A source's path leads nowhere; the message names source, path and data folder.
        DumpError: The files of a dump that was added by hand are gone, or a file cannot be read and the recipe says
            to stop at bad dumps.
    """
    hashes = ContentHashes(layout.hashes, reads=reads)
    registry = read_registry(layout)
    found = Found()
    for source in recipe.sources:
        find_in_recipe(source, data_folder, hashes, found)
    find_in_inbox(recipe, layout, hashes, found)
    find_added(recipe, layout, registry, found)
    stops = recipe.automation.on_bad_dump == "stop"
    attempts = Attempts(layout.attempts, recipe)
    dumps = []
    streamed = recipe.streamed_sources()
    for (source, date), locations in found.files.items():
        key = DumpKey.of(source, date)
        try:
            dump = _make_dump(key, locations, hashes, is_on=key not in registry.off)
            dump = replace(dump, keeps_raw=source not in streamed)
        except DumpError as error:
            if stops:
                raise
            found.problems.append(f"{key}: {error}; left out")
            continue
        attempt = attempts.of(key, dump.version)
        if attempt is not None and attempt.is_set_aside and not stops:
            dump = replace(dump, set_aside=attempt.reason)
        dumps.append(dump)
    order = {source.name: index for index, source in enumerate(recipe.sources)}
    dumps.sort(key=lambda dump: (dump.key.date, order[dump.key.source]))
    hashes.save()
    return Catalog(tuple(dumps), (*found.problems, *hashes.problems))


def read_catalog(artifact: Artifact) -> dict[DumpKey, str]:
    """Return the versions of the enabled dumps of a written catalog by key, in catalog order."""
    dumps = cast("list[Mapping[str, Any]]", read_json(artifact.file(_CATALOG)))
    return {DumpKey(dump["key"]): dump["version"] for dump in dumps}


def add_dump(
    recipe: Recipe, layout: Layout, *, source: str, date: str, files: Sequence[str | Path]
) -> str:
    """Register files as a dump of a source, or as more files of a dump; switch it on. Its failures are forgotten.

    Args:
        recipe: The recipe.
        layout: Where the registry is.
        source: Name of a source of the recipe.
        date: YYYYMMDD.
        files: Files, folders, globs (relative to the working folder) or fsspec URLs; none to switch a
            removed dump on again.

    Returns:
        The dump's key.

    Raises:
        RecipeError: The source is unknown or the date is none.
        DumpError: A path matches no file.
    """
    if source not in source_names(recipe):
        raise RecipeError(unknown_source(source, recipe))
    if not DATE.fullmatch(date):
        raise RecipeError(f"date '{date}': write it as YYYYMMDD, for example 20261101")
    key = f"{source}@{date}"
    given: list[AddedDump] = []
    for file in map(str, files):
        if has_login(file):
            raise DumpError(
                f"{file}: a URL with a password is not written down; give it by the environment of the store"
            )
        if not is_url(file) and origin_url(layout.root) is not None:
            raise DumpError(
                f"{file}: is on this machine alone, and the data root is for others too; put it into "
                f"{layout.inbox_place}, or name a URL"
            )
        path = file if is_url(file) else str(Path(file).expanduser().absolute())
        known = next(one for one in recipe.sources if one.name == source).format != "auto"
        problems: list[str] = []
        if not expand_path(path, Path("/"), problems, any_format=known):
            detail = "".join(f"; {problem}" for problem in problems) or why_nothing(file)
            raise DumpError(
                f"'{file}' matches no file; quote a glob so that the shell leaves it alone{detail}"
            )
        given.append(AddedDump(source, date, path))

    def change(registry: Registry) -> Registry:
        return reduce(Registry.add, given, registry.switch(key, is_on=True))

    change_registry(layout, change)
    Attempts(layout.attempts, recipe).done(key)
    return key


def remove_dump(recipe: Recipe, layout: Layout, data_folder: Path, key: str) -> Dump:
    """Switch a dump off; its files stay where they are.

    Raises:
        RecipeError: There is no such dump.
    """
    dump = find_dumps(recipe, layout, data_folder)[key]
    change_registry(layout, lambda registry: registry.switch(key, is_on=False))
    return dump


def _make_dump(
    key: DumpKey, locations: dict[str, Path | str | None], hashes: ContentHashes, *, is_on: bool
) -> Dump:
    names = name_files(locations)
    files = sorted(locations, key=lambda location: (names[location], location))
    called = [names[file] for file in files]
    return Dump(
        key=key,
        files=tuple(files),
        names=tuple(called),
        version=_version(files, called, hashes),
        is_on=is_on,
        hashes=hashes.path,
    )


def _version(files: Sequence[str], names: Sequence[str], hashes: ContentHashes) -> str:
    hashes.ask(file for file in files if is_url(file) and not is_hub(file))
    contents = [
        [name, hashes.of_hub(HubLocation.parse(file)) if is_hub(file) else hashes.of(file)]
        for file, name in zip(files, names, strict=True)
    ]
    return digest_json(contents)
