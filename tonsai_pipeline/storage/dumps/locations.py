"""What a person writes -> the files it means, and the names they get in tables.

"khm/*.jsonl.gz" | folder | URL ──expand_path──▶ locations ──name_files──▶ names without this machine
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
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


def name_files(locations: Mapping[str, Path | None]) -> dict[str, str]:
    """Name the files of a dump without the folders of this machine.

    Args:
        locations: Location -> the folder its name is relative to, or None if there is no such folder.

    Example:
        >>> name_files({"/data/km/a.jsonl": Path("/data"), "s3://bucket/b.jsonl": None})
        {'/data/km/a.jsonl': 'km/a.jsonl', 's3://bucket/b.jsonl': 'bucket/b.jsonl'}
    """
    names: dict[str, str] = {}
    strays: list[str] = []
    for location, base in locations.items():
        if is_hub(location):
            hub = HubLocation.parse(location)
            names[location] = HubLocation(hub.id, hub.config, hub.split).url
        elif is_url(location):
            pieces = urlsplit(location)
            names[location] = f"{pieces.hostname or ''}{pieces.path}".lstrip("/")
        elif base is not None and Path(location).is_relative_to(base):
            names[location] = Path(location).relative_to(base).as_posix()
        else:
            strays.append(location)
    if strays:
        common = os.path.commonpath([str(Path(location).parent) for location in strays])
        names |= {location: Path(location).relative_to(common).as_posix() for location in strays}
    return {location: names[location] for location in locations}


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
