"""Where dumps lie: recipe sources, inbox and registry -> files by (source, date).

    source.path, source.hub ─find_in_recipe─┐
    inbox/<recipe>/ ──────────find_in_inbox─┼──▶ Found(files by (source, date), problems)
    registry ──────────────────find_added───┘

What cannot be understood becomes a line for a person; nothing that lies in the inbox is passed over in
silence, but hidden and half-copied files, which are nobody's dump yet.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tonsai_pipeline.catalog.locations import hub_location
from tonsai_pipeline.errors import DumpError, RecipeError
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.storage.dumps import ContentHashes, detect_format, is_url
from tonsai_pipeline.storage.dumps.folders import is_unfinished
from tonsai_pipeline.storage.dumps.locations import expand_path, name_root, why_nothing
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.origin import open_origin
from tonsai_pipeline.storage.registry import Registry

DATE = re.compile(r"[0-9]{8}")
_INBOX_FILE = re.compile(r"(?P<source>[a-z0-9][a-z0-9_.-]*)@(?P<date>[0-9]{8})(\..+)?")


@dataclass
class Found:
    """Locations by (source, date), each with the folder its name is relative to."""

    files: dict[tuple[str, str], dict[str, Path | str | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, source: str, date: str, locations: list[str], *, base: Path | str | None) -> None:
        """Add files to a dump; `base` is the folder or URL that their names are relative to."""
        known = self.files.setdefault((source, date), {})
        places = {_place(location) for location in known}
        for location in locations:
            if _place(location) not in places:
                known[location] = base
                places.add(_place(location))


def _place(location: str) -> str:
    """Return where a location is, so that a file reached by two ways is one."""
    return location if is_url(location) else str(Path(location).resolve())


def find_in_recipe(source: Source, data_folder: Path, hashes: ContentHashes, found: Found) -> None:
    """Add the dump that a source names itself.

    Raises:
        RecipeError: Its path leads nowhere.
    """
    if source.hub is not None and not source.keep_raw:
        pinned = hashes.pin(hub_location(source.hub))
        base = f"hf://datasets/{pinned.id}@{pinned.revision}"
        found.add(source.name, source.date, hashes.files_of(pinned), base=base)
    elif source.hub is not None:
        location = hashes.pin(hub_location(source.hub)).url
        found.add(source.name, source.date, [location], base=None)
    patterns = (source.path,) if isinstance(source.path, str) else source.path or ()
    for pattern in patterns:
        known = source.format != "auto"
        locations = expand_path(pattern, data_folder, found.problems, any_format=known)
        if not locations:
            raise RecipeError(
                f"source '{source.name}': path '{pattern}' matches no file; relative paths start at the data "
                f"folder {data_folder} (set it with --data or TONSAI_DATA){why_nothing(pattern)}"
            )
        base = name_root(pattern, data_folder)
        found.add(source.name, source.date, locations, base=base)


def find_added(recipe: Recipe, layout: Layout, registry: Registry, found: Found) -> None:
    """Add the dumps that people registered.

    Raises:
        DumpError: The files of a dump that is switched on are gone.
    """
    sources = {source.name: source for source in recipe.sources}
    for added in registry.added:
        if added.source not in sources:
            unknown = unknown_source(added.source, recipe)
            found.problems.append(f"{layout.registry}: dump {added.key}: {unknown}")
            continue
        known = sources[added.source].format != "auto"
        locations = expand_path(added.path, Path("/"), found.problems, any_format=known)
        if not locations and added.key not in registry.off:
            raise DumpError(
                f"dump {added.key}, added by hand: '{added.path}' matches no file; bring it back, or take "
                f"the entry out of {layout.registry}"
            )
        if locations:
            base = name_root(added.path)
            found.add(added.source, added.date, locations, base=base)


def find_in_inbox(recipe: Recipe, layout: Layout, hashes: ContentHashes, found: Found) -> None:
    """Add what lies in the inbox; a file that belongs to nothing is a problem to report."""
    sources = {source.name: source for source in recipe.sources}
    if (origin := open_origin(layout.root)) is not None:
        names = origin.bucket.list(f"inbox/{recipe.name}")
        for name, info in names.items():
            hashes.tell(f"{layout.inbox_place}/{name}", info)
        _find_in_store(recipe, sorted(names), layout, found)
        return
    for path in sorted(layout.inbox.iterdir()) if layout.inbox.is_dir() else ():
        if is_unfinished(path):
            continue
        match = _INBOX_FILE.fullmatch(path.name)
        if match is None and path.is_dir():
            if path.name in sources:
                _find_in_inbox_folder(path, sources[path.name], layout, found)
            else:
                found.problems.append(f"{path}: {unknown_source(path.name, recipe)}")
        elif match is None:
            found.problems.append(f"{path}: name it <source>@<YYYYMMDD>.<extension>")
        elif match["source"] not in sources:
            found.problems.append(f"{path}: {unknown_source(match['source'], recipe)}")
        else:
            _add_inbox_path(path, sources[match["source"]], match["date"], layout, found)


def _find_in_store(recipe: Recipe, names: Sequence[str], layout: Layout, found: Found) -> None:
    """Add what lies in the inbox of an object store, by names relative to it; what is listed is there whole."""
    sources = {source.name: source for source in recipe.sources}
    for name in names:
        first, *rest = name.split("/")
        if any(is_unfinished(Path(piece)) for piece in (first, *rest)):
            continue
        url = f"{layout.inbox_place}/{name}"
        match = _INBOX_FILE.fullmatch(first)
        if match is not None:
            source, date = match["source"], match["date"]
        elif len(rest) > 1 and DATE.fullmatch(rest[0]):
            source, date = first, rest[0]
        else:
            found.problems.append(
                f"{url}: name it <source>@<YYYYMMDD>.<extension> or <source>/<YYYYMMDD>/<file>"
            )
            continue
        if source not in sources:
            found.problems.append(f"{url}: {unknown_source(source, recipe)}")
        elif sources[source].format != "auto" or _has_format(url, found):
            found.add(source, date, [url], base=layout.inbox_place)


def _has_format(location: str, found: Found) -> bool:
    """Whether a file's format can be known; a problem if not."""
    try:
        detect_format(location)
    except DumpError as error:
        found.problems.append(str(error))
        return False
    return True


def _find_in_inbox_folder(folder: Path, source: Source, layout: Layout, found: Found) -> None:
    for path in sorted(folder.iterdir()):
        if is_unfinished(path):
            continue
        if path.is_dir() and DATE.fullmatch(path.name):
            _add_inbox_path(path, source, path.name, layout, found)
        else:
            found.problems.append(
                f"{path}: put it into a folder named by its date, {folder.name}/<YYYYMMDD>/"
            )


def _add_inbox_path(path: Path, source: Source, date: str, layout: Layout, found: Found) -> None:
    problems: list[str] = []
    known = source.format != "auto"
    locations = expand_path(str(path), layout.inbox, problems, any_format=known)
    if not known and path.is_file():
        try:
            detect_format(str(path))
        except DumpError as error:
            problems.append(str(error))
            locations = []
    found.problems.extend(problems)
    if locations:
        found.add(source.name, date, locations, base=layout.inbox)
    elif not problems:
        found.problems.append(f"{path}: empty folder")


def source_names(recipe: Recipe) -> list[str]:
    """Return the names of a recipe's sources, in order."""
    return [source.name for source in recipe.sources]


def unknown_source(name: str, recipe: Recipe) -> str:
    """Say that a recipe has no such source, and which is nearest."""
    return f"recipe '{recipe.name}' has no source '{name}'{nearest(name, source_names(recipe))}"


def nearest(name: str, names: Sequence[str]) -> str:
    """Say which name was probably meant."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(names)}"
