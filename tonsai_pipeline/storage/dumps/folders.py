"""Folders and globs -> their files, each once, and what a person should know about the others.

    folder ──walk──▶ files ──without_extras──▶ files of text      problems: one line for what was left out

Links are followed, each folder once, so that a link to a folder above ends nothing; of two names of one file
the one without a link counts.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tonsai_pipeline.storage.dumps.read import is_saved_dataset

#: Endings under which browsers, rsync, wget and file managers keep what is not all there yet.
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download", ".filepart", "~")
#: What Hub data sets hold beside their text.
_CARDS = {"readme.md", "dataset_infos.json", "dataset_info.json", "dataset_dict.json"}
_CARD_START = re.compile(rb"(?:\xef\xbb\xbf)?---\s*\n")
#: Names of splits that are there to measure with, as the `datasets` library knows them.
_HELD_OUT = re.compile(
    r"(?:^|[-._ /])(validation|valid|dev|val|testing|test|eval|evaluation)(?:[-._ /]|$)"
)
_TRAIN = re.compile(r"(?:^|[-._ /])(?:train|training)(?:[-._ /]|$)")


def is_unfinished(path: Path) -> bool:
    """Tell hidden files and half-copied files, which are nobody's dump yet."""
    return path.name.startswith(".") or path.name.lower().endswith(_UNFINISHED)


def walk(folder: Path, problems: list[str]) -> list[Path]:
    """Return every file below a folder, sorted; a folder of a saved data set is one.

    Args:
        folder: Where to begin.
        problems: Gets a line for what cannot be looked at: folders without permission, links to nothing,
            pipes and devices.
    """
    return once(_walk(folder, problems, set()))


def match(pattern: str, problems: list[str]) -> list[Path]:
    """Return the files and saved data sets that an absolute glob means, sorted; `**` crosses folders."""
    parts = Path(pattern).parts
    num_fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:num_fixed])
    steps = parts[num_fixed:]
    if "**" not in steps:
        # Hidden names are matched by no star; folders are matched for saved data sets alone.
        found = [Path(one) for one in glob.glob(pattern)]  # noqa: PTH207 (absolute patterns)
        return once(path for path in found if path.is_file() or is_saved_dataset(path))
    wanted = re.compile("".join(_steps(steps)))
    return once(
        path
        for path in _walk(root, problems, set())
        if wanted.fullmatch(f"/{path.relative_to(root).as_posix()}")
    )


def _steps(steps: Sequence[str]) -> Iterator[str]:
    """Turn the steps of a glob into a pattern for a path that begins with a slash."""
    for step in steps:
        if step == "**":
            yield "(?:/[^/]+)*"
        else:
            segment = fnmatch.translate(step).removesuffix("\\Z").removesuffix("\\z")
            yield "/" + re.sub(r"(?<!\\)\.", "[^/]", segment)


def once(paths: Iterator[Path] | Sequence[Path]) -> list[Path]:
    """Sort files and keep one name of each: links to a file that is there already are the same file."""
    names: dict[tuple[int, int], Path] = {}
    for path in sorted(paths):
        stat = path.stat()
        known = names.setdefault((stat.st_dev, stat.st_ino), path)
        if known is not path and known.resolve() != known.absolute() and not path.is_symlink():
            names[stat.st_dev, stat.st_ino] = path
    return sorted(names.values())


def without_extras(
    paths: list[Path], root: Path, problems: list[str], *, named: bool
) -> list[Path]:
    """Leave out what a data set holds beside its training text, and say so.

    Args:
        paths: Files below `root`.
        root: Folder that names are looked at from.
        problems: Gets one line for each kind of file.
        named: A glob named the files: all are kept, and the line says what they are.
    """
    names = {path: _relative(path, root) for path in paths}
    has_train = any(_TRAIN.search(name.lower()) for name in names.values())
    held_out = [
        path
        for path in paths
        if _HELD_OUT.search(PurePosixPath(names[path]).with_suffix("").as_posix().lower())
    ]
    cards = [path for path in paths if _is_card(path, has_others=len(paths) > 1)]
    left_out: set[Path] = set()
    for found, kind in ((held_out, "validation or test splits"), (cards, "cards of data sets")):
        if not found:
            continue
        is_left_out = not named and (kind.startswith("cards") or has_train)
        left_out.update(found if is_left_out else ())
        shown = ", ".join(names[path] for path in found[:3])
        more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
        what = "left out" if is_left_out else "read; name the files of the training split in 'path'"
        problems.append(f"{root}: {shown}{more}: {kind}, no training text: {what}")
    return [path for path in paths if path not in left_out]


def _walk(folder: Path, problems: list[str], seen: set[tuple[int, int]]) -> Iterator[Path]:
    stat = folder.stat()
    if (stat.st_dev, stat.st_ino) in seen:
        return
    seen.add((stat.st_dev, stat.st_ino))
    try:
        entries = sorted(folder.iterdir(), key=lambda path: (path.is_symlink(), path))
    except OSError as error:
        problems.append(f"{folder}: cannot be listed: {error.strerror or error}")
        return
    for path in entries:
        if is_unfinished(path):
            continue
        try:
            is_folder = path.is_dir()
            if is_saved_dataset(path) or path.is_file():
                yield path
            elif is_folder:
                yield from _walk(path, problems, seen)
            elif path.is_symlink():
                problems.append(f"{path}: is a link to nothing")
            else:
                problems.append(f"{path}: is no file")
        except OSError as error:
            problems.append(f"{path}: cannot be looked at: {error.strerror or error}")


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _is_card(path: Path, *, has_others: bool) -> bool:
    name = path.name.lower()
    if name not in _CARDS or not has_others:
        return False
    if name != "readme.md":
        return True
    try:
        with path.open("rb") as stream:
            is_card = _CARD_START.match(stream.read(16)) is not None
    except OSError:
        return False
    # A README beside tables describes them; beside texts it may be one.
    others = (other.suffix for other in path.parent.rglob("*") if other != path)
    return is_card or any(
        suffix in (".parquet", ".arrow", ".jsonl", ".gz", ".zst") for suffix in others
    )
