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

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.compression.streams import is_url
from tonsai_pipeline.storage.dumps.folders import is_unfinished, match, walk, without_extras
from tonsai_pipeline.storage.dumps.hub import HubLocation, is_hub
from tonsai_pipeline.storage.dumps.read import detect_format, is_saved_dataset
from tonsai_pipeline.storage.dumps.stored import open_system, say


def expand_path(
    pattern: str, base: Path, problems: list[str], *, any_format: bool = False
) -> list[str]:
    """Return the files that a path, folder, glob or URL means, sorted; none if there are none.

    Args:
        pattern: Folders are searched through; `**` in a glob crosses folders.
        base: Where a relative path starts.
        problems: Gets a line for what is left out, and for what is odd: files in a folder whose format is
            unknown, splits and cards of data sets, empty files, links to nothing.
        any_format: The format is given, so that a name need not tell it.

    Raises:
        DumpError: A URL's store cannot be asked.
    """
    if is_url(pattern):
        return _expand_url(pattern)
    path = base / Path(pattern).expanduser()
    if is_saved_dataset(path) or path.is_file():
        found = [path]
    elif path.is_dir():
        found = without_extras(walk(path, problems), path, problems, named=False)
        found = [one for one in found if any_format or _is_known(one, problems)]
    elif glob.has_magic(str(path)):
        # Brackets are often just a part of a name.
        literal = str(path).replace("[", "[[]")
        matched = match(str(path), problems) or (match(literal, problems) if "[" in pattern else [])
        root = name_root(str(path)) or path.parent
        whole = [one for one in matched if not is_unfinished(one)]
        found = without_extras(whole, root, problems, named=True)
    else:
        found = []
    problems.extend(f"{one}: is empty (0 bytes)" for one in found if _is_empty(one))
    return [str(one) for one in found]


def why_nothing(pattern: str) -> str:
    """Return what to know about a pattern that matches no file; "" if there is nothing."""
    if "[" in pattern:
        return "; brackets in a pattern stand for one of the characters in them: write [[] for a bracket"
    return ""


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


def name_files(locations: Mapping[str, Path | str | None]) -> dict[str, str]:
    """Name the files of a dump without the folders of this machine; no name depends on a later location.

    Args:
        locations: Location -> the folder or URL its name is relative to; None for its own file name alone. Where a
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


def _possible_names(location: str, base: Path | str | None) -> Iterator[str]:
    if is_hub(location):
        hub = HubLocation.parse(location)
        yield (plain := HubLocation(hub.id, hub.config, hub.split).url)
    elif is_url(location) and base is not None:
        yield (plain := location.removeprefix(f"{base}/"))
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


def _is_known(path: Path, problems: list[str]) -> bool:
    """Tell whether a file's format can be known; add a line if it cannot."""
    try:
        detect_format(str(path))
    except DumpError as error:
        problems.append(str(error))
        return False
    return True


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _expand_url(url: str) -> list[str]:
    try:
        system, path = open_system(url)
        if glob.has_magic(path):
            found = [
                name
                for name, info in system.glob(path, detail=True).items()
                if info["type"] != "directory"
            ]
        elif not url.startswith("http") and system.isdir(path):
            found = system.find(path)
        else:
            # http cannot list folders: the URL itself is the file, and opening it tells whether it exists.
            return [url]
        return sorted(_url_of(name, url, path) or system.unstrip_protocol(name) for name in found)
    except Exception as error:  # every fsspec protocol has its own errors
        raise DumpError(f"{url}: cannot be asked: {say(error, url)}") from error


def _url_of(name: str, url: str, path: str) -> str | None:
    """Return the URL of a file that was found below another; None in a chain of file systems.

    Args:
        name: Its path in the file system.
        url: What was searched: it may name an account or a host, which paths do not.
        path: The same as a path.

    Example:
        >>> _url_of("c/a/1.gz", "abfss://c@account.example.net/a/*.gz", "c/a/*.gz")
        'abfss://c@account.example.net/a/1.gz'
    """
    start, base = (
        "/".join(takewhile(lambda piece: not glob.has_magic(piece), one.rstrip("/").split("/")))
        for one in (path, url)
    )
    is_below = bool(start) and name.startswith(f"{start}/") and "::" not in url
    return f"{base}/{name.removeprefix(f'{start}/')}" if is_below else None
