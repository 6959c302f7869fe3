"""What a person writes -> the files it means, and the names they get in tables.

"khm/*.jsonl.gz" | folder | URL ──expand_path──▶ locations ──name_files──▶ names without this machine
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import fsspec

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.hub import HubLocation, is_hub
from tonsai_pipeline.storage.dumps.read import detect_format, is_saved_dataset
from tonsai_pipeline.storage.dumps.streams import is_url

#: Endings under which browsers, rsync, wget and file managers keep what is not all there yet.
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download", ".filepart", "~")


def expand_path(
    pattern: str, base: Path, problems: list[str], *, any_format: bool = False
) -> list[str]:
    """Return the files that a path, folder, glob or URL means, sorted; none if there are none.

    Args:
        pattern: Folders are searched through; `**` in a glob crosses folders.
        base: Where a relative path starts.
        problems: Gets a line for every file in a folder whose format is unknown: such files are left out.
        any_format: The format is given, so that a name need not tell it.

    Raises:
        DumpError: A URL's store cannot be asked.
    """
    if is_url(pattern):
        return _expand_url(pattern)
    path = base / Path(pattern).expanduser()
    if is_saved_dataset(path) or path.is_file():
        return [str(path)]
    if path.is_dir():
        return _files_in(path, problems, any_format)
    found = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute patterns)
    return [str(match) for match in found if not is_unfinished(match) and not match.is_dir()] + [
        str(match) for match in found if is_saved_dataset(match)
    ]


def is_unfinished(path: Path) -> bool:
    """Tell hidden files and half-copied files, which are nobody's dump yet."""
    return path.name.startswith(".") or path.name.lower().endswith(_UNFINISHED)


def name_root(pattern: str, base: Path | None = None) -> Path | None:
    """Return the folder that the names of a pattern's files are relative to; None for a URL.

    Files below `base` are named from there. Elsewhere names begin at the folder that the pattern spells out, so
    that they do not depend on which other files there are.
    """
    if is_url(pattern):
        return None
    path = Path(pattern).expanduser()
    if base is not None and (base / path).is_relative_to(base):
        return base
    parts = list(takewhile(lambda part: not glob.has_magic(part), path.parts))
    root = Path(*parts)
    return root if len(parts) < len(path.parts) or root.is_dir() else root.parent


def name_files(locations: Mapping[str, Path | None]) -> dict[str, str]:
    """Name the files of a dump without the folders of this machine; no name depends on a later location.

    Args:
        locations: Location -> the folder its name is relative to; None for its own file name alone. Where a
            name is taken, the later location gets the folders before it as well.

    Example:
        >>> name_files({"/data/km/a.jsonl": Path("/data"), "s3://bucket/b.jsonl": None})
        {'/data/km/a.jsonl': 'km/a.jsonl', 's3://bucket/b.jsonl': 'bucket/b.jsonl'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for location, base in locations.items():
        names[location] = next(
            name for name in _possible_names(location, base) if name not in taken
        )
        taken.add(names[location])
    return names


def _possible_names(location: str, base: Path | None) -> Iterator[str]:
    if is_hub(location):
        hub = HubLocation.parse(location)
        yield (plain := HubLocation(hub.id, hub.config, hub.split).url)
    elif is_url(location):
        pieces = urlsplit(location)
        yield (plain := f"{pieces.hostname or ''}{pieces.path}".lstrip("/"))
    else:
        path = Path(location)
        if base is not None and path.is_relative_to(base):
            plain = path.relative_to(base).as_posix()
        else:
            plain = path.name
        parts = path.parts
        for num_parts in range(plain.count("/") + 1, len(parts)):
            yield "/".join(parts[-num_parts:])
    # Two addresses that differ in their query alone: it may hold a secret, so its hash stands for it.
    yield f"{plain}#{hashlib.sha256(location.encode()).hexdigest()[:8]}"


def _files_in(folder: Path, problems: list[str], any_format: bool) -> list[str]:
    """Every readable file below a folder; a saved data set is one location."""
    files: list[str] = []
    for path in sorted(folder.iterdir()):
        if is_unfinished(path):
            continue
        if path.is_dir() and not is_saved_dataset(path):
            files += _files_in(path, problems, any_format)
            continue
        try:
            if not any_format:
                detect_format(str(path))
            files.append(str(path))
        except DumpError as error:
            problems.append(str(error))
    return files


def _expand_url(url: str) -> list[str]:
    try:
        system, path = fsspec.core.url_to_fs(url)
        if not glob.has_magic(path):
            # http cannot list folders: the URL itself is the file, and opening it tells whether it exists.
            is_folder = not url.startswith("http") and system.isdir(path)
            return sorted(map(system.unstrip_protocol, system.find(path))) if is_folder else [url]
        return sorted(map(system.unstrip_protocol, system.glob(path)))
    except Exception as error:  # every fsspec protocol has its own errors
        raise DumpError(f"{url}: cannot be asked: {type(error).__name__}: {error}") from error
