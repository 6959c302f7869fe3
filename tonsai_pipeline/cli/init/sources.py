"""Files that were looked at -> sources: which files belong together, under which name, with which weight.

files ──group──▶ groups of alike files ──propose──▶ Proposal(sources, held out, left out)
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tonsai_pipeline.cli.init.files import DataFile, LeftOut, find_files, language_of_name
from tonsai_pipeline.cli.init.kinds import kind_of_name
from tonsai_pipeline.cli.init.look import LANGUAGES, MIN_LANGUAGE_FRAC, Column, Look, look_at
from tonsai_pipeline.cli.init.splits import (
    TRAIN,
    SplitFinder,
    described_splits,
    is_junk_name,
    words_of,
)
from tonsai_pipeline.recipe.sources import Kind
from tonsai_pipeline.storage.dumps.locations import expand_path
from tonsai_pipeline.storage.files import digest_file

#: A folder with more kinds of names is a collection: its files are one source.
_MAX_NAMES = 40
_MAX_SMALL_NAMES, _SMALL_BYTES = 12, 64 << 10
#: Files of a group that are looked at; where these disagree all are, up to the second number.
_NUM_LOOKED_AT, _MAX_LOOKED_AT = 16, 2000
#: So many small plain texts are articles: a document is a file.
_MIN_ARTICLES = 20
_SHARD_WORDS = re.compile(r"(of|part|shard|chunk|file|split)?\d*")


@dataclass(frozen=True)
class SourceProposal:
    """One source of the recipe, and the reasons for its lines.

    Args:
        paths: Patterns for the recipe, absolute.
        files: What they match.
        text_bytes: Estimated text of its own language, in bytes of UTF-8.
        split: The split that its files belong to; None where nothing says so.
        kind: What its documents are; `kind_by_name` where a name says so, and not their looks.
        where: Field and value that select its records.
        notes: What a person should know, a sentence each.
    """

    name: str
    lang: str
    paths: tuple[str, ...]
    files: tuple[DataFile, ...]
    look: Look
    column: Column
    text_bytes: int
    split: str | None
    is_junk: bool
    kind: Kind
    kind_by_name: bool
    text_layout: str | None
    where: tuple[tuple[str, str], ...]
    license: str | None
    notes: tuple[str, ...]

    @property
    def first(self) -> DataFile:
        """Return the first of its files."""
        return self.files[0]

    @property
    def is_held_out(self) -> bool:
        """Whether it is an evaluation or validation set."""
        return self.split not in (None, TRAIN)


@dataclass
class Survey:
    """What a folder holds."""

    folder: Path
    sources: list[SourceProposal] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    described: dict[str, int] = field(default_factory=dict)

    def training(self, lang: str | None = None) -> list[SourceProposal]:
        """Return the sources that are trained on, of one language or of all."""
        return [
            source
            for source in self.sources
            if not source.is_junk and not source.is_held_out and lang in (None, source.lang)
        ]

    @property
    def held_out(self) -> list[SourceProposal]:
        """The sources that are evaluation or validation sets."""
        return [source for source in self.sources if source.is_held_out]


def survey(folder: Path, *, progress: Callable[[str], None] = lambda _: None) -> Survey:
    """Look at every file of a folder and propose sources.

    Args:
        folder: The folder, absolute.
        progress: Gets a line before each group of files that is looked at.
    """
    found = Survey(folder, described=described_splits(folder))
    files: list[DataFile] = []
    for entry in find_files(folder):
        if isinstance(entry, DataFile):
            files.append(entry)
        else:
            found.left_out.append(entry)
    files = _without_copies(files, found.left_out)
    splits = SplitFinder(folder)
    names: Counter[str] = Counter()
    for kind, group in _group(files, folder, splits, found.described).items():
        progress(f"{group[0].path.relative_to(folder)} ({len(group)} files)")
        for alike, looks in _alike(group, found.left_out):
            for source in _propose(alike, looks, kind.split, folder, splits):
                found.sources.append(_named(source, names))
    found.sources.sort(key=lambda s: (s.is_held_out, s.is_junk, s.lang == "eng", s.name))
    return found


def _without_copies(files: list[DataFile], left_out: list[LeftOut]) -> list[DataFile]:
    """Leave out files with the bytes of an earlier one: as sources they would lose every document."""
    sizes = Counter(file.num_bytes for file in files)
    first: dict[str, Path] = {}
    kept = []
    for file in files:
        if sizes[file.num_bytes] > 1 and file.path.is_file():
            known = first.setdefault(digest_file(file.path), file.path)
            if known != file.path:
                left_out.append(LeftOut(file.path, f"a copy of {known.name}"))
                continue
        kept.append(file)
    return kept


class _Kind(NamedTuple):
    """What files of one group have in common."""

    split: str | None
    parent: PurePosixPath
    series: str
    format: str
    by_name: bool
    lang: str | None
    is_junk: bool


def _group(
    files: Sequence[DataFile], root: Path, splits: SplitFinder, described: dict[str, int]
) -> dict[_Kind, list[DataFile]]:
    """Put shards of one data set together, and the files of a folder that is a collection."""
    only_split = next(iter(described)) if len(described) == 1 else None
    by_kind: dict[_Kind, list[DataFile]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path.relative_to(root).as_posix())
        split = splits.split(file.path) or only_split
        lang = language_of_name(path.as_posix())
        kind = _Kind(split, path.parent, "", file.format, file.by_name, lang, is_junk_name(path))
        by_kind[kind].append(file)
    num_alike = Counter(kind._replace(parent=kind.parent.parent) for kind in by_kind)
    groups: dict[_Kind, list[DataFile]] = defaultdict(list)
    for kind, found in by_kind.items():
        sizes = sorted(file.num_bytes for file in found)
        most = _MAX_SMALL_NAMES if sizes[len(sizes) // 2] < _SMALL_BYTES else _MAX_NAMES
        is_collection = len({_series(file.path.name) for file in found}) > most
        outer = kind._replace(parent=kind.parent.parent)
        place = outer if num_alike[outer] > _MAX_NAMES else kind
        for file in found:
            series = "" if is_collection else _series(file.path.name)
            groups[place._replace(series=series)].append(file)
    return groups


def _series(name: str) -> str:
    """Return what the shards of one data set have in common in their names.

    Example:
        >>> _series("train-00000-of-00002.parquet"), _series("wiki_07"), _series("law 2.txt")
        ('', 'wiki', 'law')
    """
    words = words_of(name.partition(".")[0])
    kept = [w for w in words if not _SHARD_WORDS.fullmatch(w) and w not in ("train", "training")]
    return " ".join(kept)


def _alike(
    group: list[DataFile], left_out: list[LeftOut]
) -> list[tuple[list[DataFile], list[Look]]]:
    """Look at a group and divide it by what its files hold; what holds no text is left out."""
    step = max(1, len(group) // _NUM_LOOKED_AT)
    looks = {file: look_at(file) for file in group[::step]}
    if len({_kind(look) for look in looks.values()}) > 1:
        looks |= {file: look_at(file) for file in group[:_MAX_LOOKED_AT] if file not in looks}
    most = Counter(_kind(look) for look in looks.values()).most_common(1)[0][0]
    divided: dict[tuple[object, ...], list[DataFile]] = defaultdict(list)
    for file in group:
        kind = _kind(looks[file]) if file in looks else most
        if kind is _NO_TEXT:
            reason = looks[file].reason if file in looks else "like the files beside it"
            reason = reason or "neither Khmer nor English"
            left_out.append(LeftOut(file.path, reason))
        else:
            divided[kind].append(file)
    return [(files, [looks[file] for file in files if file in looks]) for files in divided.values()]


_NO_TEXT: tuple[object, ...] = ()


def _kind(look: Look) -> tuple[object, ...]:
    if not look.columns or look.columns[0].lang is None:
        return _NO_TEXT
    return (
        look.text_layout,
        look.dialect,
        *((column.name, column.lang, tuple(column.wheres)) for column in look.columns),
    )


def _propose(
    files: list[DataFile],
    looks: list[Look],
    split: str | None,
    folder: Path,
    splits: SplitFinder,
) -> Iterable[SourceProposal]:
    """Make a source of each language that alike files hold."""
    largest = max(looks, key=lambda look: look.text_bytes)
    text_bytes = sum(look.text_bytes for look in looks) * len(files) // len(looks)
    relative = PurePosixPath(files[0].path.relative_to(folder).as_posix())
    layout = largest.text_layout
    mean_bytes = sum(file.num_bytes for file in files) / len(files)
    if layout is not None and len(files) >= _MIN_ARTICLES and mean_bytes < _SMALL_BYTES:
        layout = "file"
    paths = _patterns(files, folder)
    named = kind_of_name(relative)
    total = sum(largest.columns[0].chars.values())
    for column in largest.columns:
        langs = column.wheres or [column.lang or ""]
        for lang in langs:
            where = [column.wheres[lang]] if column.wheres else []
            if TRAIN in largest.split_values and split in (None, TRAIN):
                where.append(("split", TRAIN))
            # Of the main column's bytes, the share that this language has in this one.
            frac = column.chars.get(lang, 0) / max(1, total) or 1.0
            yield SourceProposal(
                name=_slug(files, folder, lang, column if len(largest.columns) > 1 else None),
                lang=lang,
                paths=paths,
                files=tuple(files),
                look=largest,
                column=column,
                text_bytes=int(text_bytes * frac),
                split=split,
                is_junk=is_junk_name(relative) or column.legacy_frac > 0.5,
                kind=named or column.kind,
                kind_by_name=named is not None,
                text_layout=layout,
                where=tuple(where),
                license=splits.license(files[0].path),
                notes=tuple(_notes(column, lang, looks)),
            )


def _notes(column: Column, lang: str, looks: list[Look]) -> Iterable[str]:
    if column.legacy_frac > 0.5:
        yield "most of it is set in a legacy Khmer font, not in Unicode: not trained on as it is"
    for other in (*LANGUAGES, "other"):
        frac = column.frac(other)
        if (
            other != lang
            and frac >= MIN_LANGUAGE_FRAC
            and not column.wheres
            and not column.legacy_frac > 0.5
        ):
            told = {"khm": "Khmer", "eng": "English", "other": "another language"}[other]
            yield f"{frac:.0%} of its text is {told}, which `quality.wrong_language` drops"
    num_bad = sum(look.num_bad for look in looks)
    if num_bad:
        detail = next(look.bad_detail for look in looks if look.bad_detail)
        yield f"{num_bad} bad rows were seen and go to quarantine; the first: {detail[:160]}"


def _patterns(files: Sequence[DataFile], root: Path) -> tuple[str, ...]:
    """Find one pattern that means exactly these files, as the catalog will expand it; else name each file."""
    wanted = sorted(str(file.path) for file in files)
    if len(wanted) == 1:
        return (wanted[0],)
    parent = Path(os.path.commonpath([str(file.path.parent) for file in files]))
    start = os.path.commonprefix([file.path.name for file in files])  # noqa: RUF071
    ends = [file.path.name[len(start) :][::-1] for file in files]
    end = os.path.commonprefix(ends)[::-1]  # noqa: RUF071 (of names, not of paths)
    safe = escape(str(parent))
    candidates = [
        str(parent), f"{safe}/*", f"{safe}/*{escape(end)}", f"{safe}/{escape(start)}*{escape(end)}",
        f"{safe}/**/*{escape(end)}", f"{safe}/**/{escape(start)}*{escape(end)}",
    ]  # fmt: skip
    any_format = not files[0].by_name
    for pattern in candidates:
        if sorted(expand_path(pattern, root, [], any_format=any_format)) == wanted:
            return (pattern,)
    return tuple(wanted)


def _slug(files: Sequence[DataFile], root: Path, lang: str, column: Column | None) -> str:
    """Make a valid source name: language, then the words of the path that tell this source from others."""
    relative = files[0].path.relative_to(root)
    pieces = [*relative.parent.parts, _series(relative.name)]
    if len(files) > 1 and len({_series(file.path.name) for file in files}) > 1:
        pieces.pop()
    if column is not None:
        pieces.append(column.name.replace(".", "_"))
    words = _latin_words(pieces, lang) or _latin_words([root.name], lang)
    return "_".join([lang, *words])[:56].rstrip("_")


def _latin_words(pieces: Iterable[str], lang: str) -> list[str]:
    """Return the words of names that a source name may hold, without those that say nothing."""
    words: dict[str, None] = {}
    for piece in pieces:
        folded = unicodedata.normalize("NFKD", piece).encode("ascii", "ignore").decode()
        words |= {
            word: None
            for word in words_of(folded)
            if language_of_name(word) != lang and word not in ("train", "data")
        }
    return list(words)


def _named(source: SourceProposal, names: Counter[str]) -> SourceProposal:
    """Number a name that is taken."""
    names[source.name] += 1
    number = names[source.name]
    if number == 1:
        return source
    return _named(replace(source, name=f"{source.name}_{number}"), names)
