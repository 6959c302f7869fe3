"""A folder -> its files, each with how it is read, or with the reason why it is left out.

    folder ──find_files──▶ DataFile(path, format, num_bytes) | LeftOut(path, reason)

Only regular files are opened: a pipe or a device in the folder must not stop or hang anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import FileFormat, detect_format, is_saved_dataset
from tonsai_pipeline.storage.dumps.compression.streams import open_stream
from tonsai_pipeline.storage.dumps.locations import is_unfinished

_HEAD_BYTES = 64 << 10
#: What lies beside data and is not data, by the beginning of the name.
_DOCUMENTATION = re.compile(
    r"(readme|license|licence|copying|notice|authors|contributing|changelog|manifest|makefile|dockerfile|"
    r"requirements|citation|robots|sources?\.(md|txt)$)",
    re.IGNORECASE,
)
_METADATA = re.compile(
    r"(dataset_infos?|dataset_dict|state|config|metadata|package(-lock)?|tokenizer(_config)?|vocab|"
    r"special_tokens_map|generation_config|tsconfig|datapackage)\.json$",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(r"\.(7z|rar|lzh?|arj|cab|iso)$", re.IGNORECASE)
#: Folders of tools, and of this pipeline itself.
_OTHERS_FOLDERS = {"__pycache__", "node_modules", "tonsai_data"}
#: Formats whose name says little: what is inside decides whether they are text at all.
_PLAIN = ("text", "json", "jsonl", "csv", "tsv")


class DataFile(NamedTuple):
    """A file that can be read.

    Attributes:
        path: The file, or the folder of a data set saved to disk.
        format: How it is read.
        by_name: Whether its name says so; else the recipe must.
        num_bytes: As stored.
    """

    path: Path
    format: FileFormat
    by_name: bool
    num_bytes: int


class LeftOut(NamedTuple):
    """A file that is no source, and why."""

    path: Path
    reason: str


def find_files(folder: Path) -> Iterator[DataFile | LeftOut]:
    """Walk through a folder, sorted by name; hidden and half-copied files are nobody's data yet.

    Links to folders are not followed: what they lead to may be above or elsewhere, and would be read twice.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield LeftOut(folder, f"cannot be opened: {error.strerror}")
        return
    for path in entries:
        if is_unfinished(path):
            continue
        if not _is_unicode(path):
            yield LeftOut(path, "its name is not UTF-8; rename it")
        elif path.is_dir():
            yield from _in_folder(path)
        else:
            yield _look_at(path)


def _in_folder(path: Path) -> Iterator[DataFile | LeftOut]:
    if path.name in _OTHERS_FOLDERS:
        return
    if path.is_symlink():
        yield LeftOut(path, "a link to a folder; name that folder instead")
    elif (path / "dataset_dict.json").is_file():
        # Each split is a saved data set by itself.
        yield from find_files(path)
    elif is_saved_dataset(path):
        num_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        yield DataFile(path, "hf_disk", by_name=True, num_bytes=num_bytes)
    else:
        yield from find_files(path)


def _look_at(path: Path) -> DataFile | LeftOut:  # noqa: PLR0911 (a list of reasons)
    try:
        status = path.stat()
    except OSError as error:
        reason = "a link to nothing" if path.is_symlink() else str(error.strerror)
        return LeftOut(path, reason)
    if not stat.S_ISREG(status.st_mode):
        return LeftOut(path, "not a regular file")
    if not os.access(path, os.R_OK):
        return LeftOut(path, "permission denied; make it readable for this user")
    if not status.st_size:
        return LeftOut(path, "empty")
    if _DOCUMENTATION.match(path.name):
        return LeftOut(path, "documentation by its name")
    if _METADATA.match(path.name):
        return LeftOut(path, "metadata by its name")
    try:
        name: FileFormat | None = detect_format(str(path))
    except DumpError:
        name = None
    if name is None and _ARCHIVE.search(path.name):
        return LeftOut(path, "an archive; unpack it")
    if name is None or name in _PLAIN or name == "mediawiki":
        return _by_content(path, name, status.st_size)
    return DataFile(path, name, by_name=True, num_bytes=status.st_size)


def _by_content(  # noqa: PLR0911 (likewise)
    path: Path, name: FileFormat | None, num_bytes: int
) -> DataFile | LeftOut:
    """Decide by the first bytes where the name does not decide, or may lie."""
    try:
        with open_stream(str(path)) as stream:
            head, damages = stream.read(_HEAD_BYTES), stream.damages
    except DumpError as error:
        return LeftOut(path, str(error).removeprefix(f"{path}: "))
    if not head.strip():
        return LeftOut(path, damages[0].detail if damages else "nothing but blanks")
    if name == "mediawiki":
        if b"<mediawiki" in head:
            return DataFile(path, name, by_name=True, num_bytes=num_bytes)
        return LeftOut(path, "XML that is no MediaWiki dump")
    if not _is_text(head):
        kind = f"a file of kind {path.suffix.lower()}" if name is None and path.suffix else "binary"
        return LeftOut(path, f"{kind}; no text that can be read")
    if name is not None:
        return DataFile(path, name, by_name=True, num_bytes=num_bytes)
    if head.lstrip().startswith(b"{") and head.lstrip().split(b"\n")[0].rstrip().endswith(b"}"):
        return DataFile(path, "jsonl", by_name=False, num_bytes=num_bytes)
    suffix = path.suffix.lower()
    # Names such as `wiki_00`, `corpus.km` and `train.en` are texts; a program or a table of settings is none.
    if not suffix or suffix.strip(".").isdigit() or language_of_name(path.name):
        return DataFile(path, "text", by_name=False, num_bytes=num_bytes)
    return LeftOut(path, f"a file of kind {suffix}, which no reader knows")


_LANGUAGES = {
    "km": "khm", "kh": "khm", "khm": "khm", "khmer": "khm",
    "en": "eng", "eng": "eng", "english": "eng",
}  # fmt: skip


def language_of_name(name: str) -> str | None:
    """Return the language that a file's name states as a word of its own.

    Example:
        >>> (
        ...     language_of_name("train.km"),
        ...     language_of_name("news_EN.txt"),
        ...     language_of_name("kmeans.txt"),
        ... )
        ('khm', 'eng', None)
    """
    found = {_LANGUAGES[word] for word in re.split(r"[\W_]+", name.lower()) if word in _LANGUAGES}
    return found.pop() if len(found) == 1 else None


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        # UTF-16 is text, but no reader takes it: the catalog's own message says how to convert it.
        return head[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # Cut inside a character, or a few bad bytes that go to quarantine; else it is another encoding.
        return error.start >= len(head) - 4 or head.decode("utf-8", "replace").count("\ufffd") < (
            len(head) / 100
        )
    return True


def _is_unicode(path: Path) -> bool:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return True
