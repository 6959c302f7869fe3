"""File names and data set cards -> which files are training text, and which are held out.

    data/train-00000-of-00002.parquet, README.md, dataset_infos.json ──SplitFinder──▶ "train" | "test" | ...

Names are read as the `datasets` library reads them: a word of its own in the file's or a folder's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

TRAIN = "train"
_WORDS = {
    "train": TRAIN, "training": TRAIN,
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "devtest": "test",
    "eval": "evaluation", "evaluation": "evaluation", "benchmark": "evaluation", "heldout": "evaluation",
    "ntrex": "evaluation", "ntrex128": "evaluation", "flores": "evaluation", "flores200": "evaluation",
    "sib200": "evaluation", "belebele": "evaluation",
}  # fmt: skip
_JUNK = {"junk", "spam", "garbage", "noise"}
_CARD = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
#: A card is a page; what is larger is something else.
_MAX_CARD_BYTES = 4 << 20


def words_of(name: str) -> list[str]:
    """Return the words of a name, lower-case; digits stay with their word.

    Example:
        >>> words_of("train-00000-of-00002.parquet")
        ['train', '00000', 'of', '00002', 'parquet']
    """
    return [word for word in re.split(r"[\W_]+", name.lower()) if word]


def split_of_name(path: PurePosixPath) -> str | None:
    """Return the split that a relative path names; the innermost folder or file that names one decides.

    Example:
        >>> (
        ...     split_of_name(PurePosixPath("data/test/khm.jsonl")),
        ...     split_of_name(PurePosixPath("latest.txt")),
        ... )
        ('test', None)
    """
    for piece in reversed(path.parts):
        found = [_WORDS[word] for word in words_of(piece) if word in _WORDS]
        # `train_test.csv` holds both: it is not safe to train on.
        if found:
            return next((split for split in found if split != TRAIN), TRAIN)
    return None


def is_junk_name(path: PurePosixPath) -> bool:
    """Tell whether the file's name or a folder's says that nobody wants this text."""
    return any(_JUNK & set(words_of(piece)) for piece in path.parts)


class SplitFinder:
    """Which split a file belongs to, by the cards in the folders above it, else by its name.

    Args:
        root: The folder that was given; nothing above it is looked at.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def split(self, path: Path) -> str | None:
        """Return the split that a card or a name gives; None if nothing does."""
        for folder in self._folders_above(path):
            inner = path.relative_to(folder).as_posix()
            for pattern, split in _card(folder).splits:
                if PurePosixPath(inner).match(pattern):
                    return _WORDS.get(split.lower(), split)
        return split_of_name(PurePosixPath(path.relative_to(self._root).as_posix()))

    def license(self, path: Path) -> str | None:
        """Return the licence that the nearest card names."""
        found = (_card(folder).license for folder in self._folders_above(path))
        return next((name for name in found if name), None)

    def _folders_above(self, path: Path) -> list[Path]:
        inner = path.relative_to(self._root).parts[:-1]
        return [self._root.joinpath(*inner[:n]) for n in range(len(inner), -1, -1)]


class _Card:
    """What a folder's README.md says: files by split, and a licence."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        license_name = fields.get("license")
        self.license = license_name if isinstance(license_name, str) else None
        self.splits: list[tuple[str, str]] = []
        configs = fields.get("configs")
        for config in configs if isinstance(configs, list) else []:
            files = config.get("data_files") if isinstance(config, dict) else None
            if isinstance(files, (str, list)) and not _names_splits(files):
                files = [{"split": TRAIN, "path": files}]
            for entry in files if isinstance(files, list) else []:
                paths = entry.get("path") if isinstance(entry, dict) else None
                for path in [paths] if isinstance(paths, str) else paths or []:
                    self.splits.append((str(path).replace("**", "*"), str(entry.get("split"))))


def _names_splits(files: str | list[Any]) -> bool:
    return isinstance(files, list) and all(isinstance(entry, dict) for entry in files)


@lru_cache(maxsize=4096)
def _card(folder: Path) -> _Card:
    path = folder / "README.md"
    fields: Any = {}
    if path.is_file() and path.stat().st_size <= _MAX_CARD_BYTES:
        matched = _CARD.match(path.read_text(encoding="utf-8", errors="replace"))
        try:
            fields = yaml.safe_load(matched[1]) if matched else {}
        except yaml.YAMLError:
            fields = {}  # a README that is no card says nothing about splits
    return _Card(fields if isinstance(fields, dict) else {})


def described_splits(folder: Path) -> dict[str, int]:
    """Return what `dataset_infos.json` says a folder holds: rows by split, of all configurations."""
    path = folder / "dataset_infos.json"
    if not path.is_file():
        return {}
    try:
        infos = json.loads(path.read_text(encoding="utf-8"))
        splits = [info.get("splits") or {} for info in infos.values()]
    except (ValueError, AttributeError):
        return {}
    rows: dict[str, int] = {}
    for found in splits:
        for name, split in found.items() if isinstance(found, dict) else ():
            rows[name] = rows.get(name, 0) + int(split.get("num_examples") or 0)
    return rows
