"""A file -> what its beginning shows: text columns, languages, how long its documents are, how much there is.

    DataFile ──look_at──▶ Look(columns: Column(name, lang, ...), num_bad, ...)

Everything is read by the readers of the pipeline itself, so what is seen here is what a run will read.
"""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tonsai_pipeline.cli.init.files import DataFile
from tonsai_pipeline.cli.init.kinds import kind_of_texts
from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.quality.units import CLUSTERS_PER_WORD
from tonsai_pipeline.recipe.sources import Kind
from tonsai_pipeline.storage.dumps import BadRow, RawRecord, read_dump_file
from tonsai_pipeline.storage.dumps.compression.streams import open_stream
from tonsai_pipeline.storage.dumps.read import HABITS
from tonsai_pipeline.storage.dumps.records import Dialect, TextLayout
from tonsai_pipeline.storage.dumps.tables.sniff import sniff_dialect
from tonsai_pipeline.text import (
    count_clusters_batch,
    count_words_batch,
    languages_batch,
    legacy_font_batch,
    malformed_texts,
    normalize_batch,
)

#: How much of a file is looked at: enough for a median, and a second's work.
_MAX_RECORDS = 3000
_MAX_BYTES = 8 << 20
_MEASURED_BYTES = 8 << 20
#: Names that the text of a document goes by, best first.
_TEXT_NAMES = (
    "text", "content", "body", "article", "document", "raw_content", "page_content", "maintext", "passage",
    "paragraph", "sentence", "story",
)  # fmt: skip
#: Names of what is said about a document.
_REMARK_NAMES = {
    "note", "notes", "remark", "comment", "source", "license", "licence", "title", "name", "author", "url", "id",
}  # fmt: skip
#: A column that is not named as text must hold so much of it, in bytes.
_MIN_UNNAMED_BYTES = 4000
#: Running text, not a title, a category or a word: characters of the median, letters and spaces.
_MIN_MEDIAN_CHARS = 20
_MIN_WORDS = 3
_MIN_LETTER_FRAC = 0.5
_ADDRESS = re.compile(r"\w+://\S+|/\S+")
_MARKUP = re.compile(r"</?(p|div|span|a|br|html|table|li)\b[^>]*>", re.IGNORECASE)
#: A second text column must hold at least this share of the first one's characters.
_MIN_SECOND_FRAC = 0.25
#: A field tells languages apart if so much of each language's text stands under one value of it.
_MIN_TOLD_FRAC = 0.9
_MAX_FIELD_VALUES = 50
#: A language with less of the text is no source of its own.
MIN_LANGUAGE_FRAC = 0.1
LANGUAGES = ("khm", "eng")


#: Texts by column, None where a record has none.
Table = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True)
class Column:
    """Running text under one name.

    Args:
        name: Column, `a.b` for one inside another; "" where records have no fields.
        chars: Characters seen by language: khm (mixed texts too), eng, other.
        num_documents: Texts seen.
        median_words: Of the documents of its main language, in words; a Khmer word counts some clusters.
        kind: What its documents look like.
        legacy_frac: Share of documents that are set in a legacy Khmer font.
        wheres: Language -> the field and value that its records have, where a field tells languages apart.
    """

    name: str
    chars: Mapping[str, int]
    num_documents: int
    median_words: float
    kind: Kind
    legacy_frac: float
    wheres: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def lang(self) -> str | None:
        """Language of most of its text; None if that is neither Khmer nor English."""
        if self.legacy_frac > 0.5:
            return "khm"
        best = max(self.chars, key=lambda lang: self.chars[lang], default="other")
        return best if best in LANGUAGES and self.chars[best] else None

    def frac(self, lang: str) -> float:
        """Return a language's share of the characters."""
        return self.chars.get(lang, 0) / max(1, sum(self.chars.values()))


@dataclass(frozen=True)
class Look:
    """What a file's beginning shows.

    Args:
        columns: Columns of running text, the main one first; empty if there is none.
        reason: Why there is none.
        text_layout: For plain text, what a document is.
        text_bytes: UTF-8 bytes of text in the main column of the whole file, estimated.
        num_rows: Rows of the whole file, estimated.
        num_bad: Bad rows seen, and what the first said.
        split_values: Values of a field `split`, if there is one.
        is_whole: Whether the file was read to its end.
        dialect: How a CSV or TSV file differs from the habit of its format; empty where it does not.
    """

    columns: tuple[Column, ...] = ()
    reason: str = ""
    text_layout: TextLayout | None = None
    text_bytes: int = 0
    num_rows: int = 0
    num_bad: int = 0
    bad_detail: str = ""
    split_values: tuple[str, ...] = ()
    is_whole: bool = False
    dialect: Dialect = field(default_factory=Dialect)


def look_at(file: DataFile) -> Look:
    """Read the beginning of a file."""
    layout = _layout_of(file) if file.format == "text" else None
    try:
        habit = HABITS.get(file.format)
        dialect = sniff_dialect(str(file.path), habit) if habit else Dialect()
        records, bad, is_whole = _read_start(file, layout, dialect)
    except DumpError as error:
        return Look(reason=str(error).removeprefix(f"{file.path}: "))
    bad_detail = f"{bad[0].reason}: {bad[0].detail}" if bad else ""
    if not records:
        return Look(reason=bad_detail or "no record in it", num_bad=len(bad))
    with_fields = not any(record.text for record in records)
    rows = [json.loads(r.meta or "{}") for r in records] if with_fields else []
    table: Table = _strings(rows) if with_fields else {"": [r.text for r in records]}
    columns = _columns_of(table, rows)
    seen = len(records) + sum(one.num_rows for one in bad)
    main = table[columns[0].name] if columns else []
    text_bytes = sum(len(text.encode("utf-8", "replace")) for text in main if text)
    scale = 1.0 if is_whole else _scale(file, rows, records, seen)
    return Look(
        columns=tuple(columns),
        reason="" if columns else _why_no_text(table),
        text_layout=layout,
        text_bytes=int(text_bytes * scale),
        num_rows=int(seen * scale),
        num_bad=len(bad),
        bad_detail=bad_detail,
        split_values=tuple(sorted({str(row["split"]) for row in rows if "split" in row}))[:20],
        is_whole=is_whole,
        dialect=dialect,
    )


def _read_start(
    file: DataFile, layout: TextLayout | None, dialect: Dialect
) -> tuple[list[RawRecord], list[BadRow], bool]:
    records: list[RawRecord] = []
    bad: list[BadRow] = []
    num_bytes = 0
    found = read_dump_file(
        str(file.path),
        format="auto" if file.by_name else file.format,
        text_column="",
        text_layout=layout or "blank_line",
        dialect=dialect,
    )
    for record in found:
        if isinstance(record, BadRow):
            bad.append(record)
        else:
            records.append(record)
            num_bytes += len(record.text) + len(record.meta or "")
        if len(records) + len(bad) >= _MAX_RECORDS or num_bytes >= _MAX_BYTES:
            return records, bad, False
    return records, bad, True


def _strings(rows: list[dict[str, Any]]) -> Table:
    """Return the string fields of records as columns; `a.b` for a field inside another."""
    columns: dict[str, list[str | None]] = defaultdict(lambda: [None] * len(rows))
    for index, row in enumerate(rows):
        for name, value in _flat(row, "", 3):
            columns[name][index] = value
    return dict(columns)


def _flat(fields: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict) and depth > 1:
            yield from _flat(value, f"{prefix}{name}.", depth - 1)


def _columns_of(table: Table, rows: list[dict[str, Any]]) -> list[Column]:
    """Choose the columns of running text: the one that is named so or is longest, and one of the other language."""
    found = [
        measured
        for name, texts in table.items()
        if not name or _is_prose(name, [text for text in texts if text])
        if (measured := _measure(name, texts, rows)) is not None
    ]

    found.sort(key=lambda column: (_name_rank(column.name), -sum(column.chars.values())))
    others = [
        column
        for column in found[1:]
        if column.lang not in (None, found[0].lang)
        and not found[0].wheres
        and sum(column.chars.values()) >= _MIN_SECOND_FRAC * sum(found[0].chars.values())
    ]
    return [*found[:1], *others[:1]]


def _name_rank(name: str) -> int:
    last = name.rpartition(".")[2].lower()
    return _TEXT_NAMES.index(last) if last in _TEXT_NAMES else len(_TEXT_NAMES)


def _is_prose(name: str, texts: list[str]) -> bool:
    """Tell running text from titles, identifiers, addresses and markup; a column that is named `text` may be short."""
    if not texts:
        return False
    sample = texts[:: max(1, len(texts) // 200)]
    is_named = _name_rank(name) < len(_TEXT_NAMES)
    if not is_named and (
        name.rpartition(".")[2].lower() in _REMARK_NAMES
        or np.median([len(text) for text in sample]) < _MIN_MEDIAN_CHARS
        or sum(len(text.encode("utf-8", "replace")) for text in texts) < _MIN_UNNAMED_BYTES
    ):
        return False
    joined = "".join(sample)
    letters = sum(char.isalpha() or "\u1780" <= char <= "\u17ff" for char in joined)
    addresses = sum(_ADDRESS.fullmatch(text.strip()) is not None for text in sample)
    markup = sum(len(_MARKUP.findall(text)) > 2 for text in sample)
    # Identifiers and hashes are letters without a space; Khmer writes few spaces, but other letters.
    spaced = sum(" " in text.strip() or "\u1780" <= max(text) <= "\u17ff" for text in sample)
    half = len(sample) / 2
    return (
        letters >= _MIN_LETTER_FRAC * len(joined)
        and addresses < half
        and markup < half
        and (is_named or spaced >= half)
    )


def _measure(name: str, texts: Sequence[str | None], rows: list[dict[str, Any]]) -> Column | None:
    kept = [i for i, text in enumerate(texts) if text and text.strip()]
    raw = pa.array([_clean(str(texts[i])) for i in kept], pa.large_string())
    good = np.flatnonzero(malformed_texts(raw).is_null().to_numpy(zero_copy_only=False))
    if not len(good):
        return None
    normalized = normalize_batch(raw.take(pa.array(good)))
    # A document that mixes Khmer and English is a Khmer one, as everywhere in the pipeline.
    langs = ["khm" if lang == "mixed" else lang for lang in languages_batch(normalized).to_pylist()]
    words = np.asarray(count_words_batch(normalized)) + (
        np.asarray(count_clusters_batch(normalized)) / CLUSTERS_PER_WORD
    )
    legacy = float(np.mean(legacy_font_batch(normalized).is_valid().to_numpy(zero_copy_only=False)))
    chars: Counter[str] = Counter()
    for lang, text in zip(langs, normalized.to_pylist(), strict=True):
        chars[lang if lang in LANGUAGES else "other"] += len(text)
    main = chars.most_common(1)[0][0]
    is_main = np.array([lang == main for lang in langs])
    of_main = words[is_main]
    median = float(np.median(of_main if len(of_main) else words))
    if median < _MIN_WORDS and _name_rank(name) == len(_TEXT_NAMES):
        return None
    pairs = (
        [
            (rows[kept[i]], lang, len(texts[kept[i]] or ""))
            for i, lang in zip(good, langs, strict=True)
        ]
        if rows
        else []
    )
    return Column(
        name=name,
        chars=dict(chars),
        num_documents=len(good),
        median_words=median,
        kind=kind_of_texts(normalized.filter(pa.array(is_main)), main),
        legacy_frac=legacy,
        wheres=_wheres(pairs, chars),
    )


def _wheres(
    pairs: list[tuple[dict[str, Any], str, int]], chars: Counter[str]
) -> dict[str, tuple[str, str]]:
    """Find a field whose values tell Khmer and English records apart, where a file holds both."""
    total = sum(chars.values())
    if min(chars["khm"], chars["eng"]) < MIN_LANGUAGE_FRAC * total:
        return {}
    for name in {name: None for row, _, _ in pairs for name in row}:
        by_value: dict[str, Counter[str]] = defaultdict(Counter)
        for row, lang, num_chars in pairs:
            if isinstance(row.get(name), str):
                by_value[row[name]][lang] += num_chars
        if not 2 <= len(by_value) <= _MAX_FIELD_VALUES:
            continue
        told = {}
        for lang in LANGUAGES:
            value = max(by_value, key=lambda value: by_value[value][lang])
            found = by_value[value]
            if found[lang] >= _MIN_TOLD_FRAC * max(sum(found.values()), chars[lang]):
                told[lang] = (name, value)
        if len(told) == len(LANGUAGES):
            return told
    return {}


def _why_no_text(table: Table) -> str:
    if "" in table:
        return "a list of words, no running text"
    medians = [
        f"{name} ({np.median([len(text) for text in texts if text] or [0]):.0f})"
        for name, texts in itertools.islice(table.items(), 6)
    ]
    if not medians:
        return "no field of it holds text"
    return (
        f"no column of running text; columns and characters of their median: {', '.join(medians)}"
    )


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _layout_of(file: DataFile) -> Literal["line", "blank_line", "file"]:
    """Guess what a document of a plain text file is: lines where there are no blank ones between."""
    with open_stream(str(file.path)) as stream:
        lines = stream.read(_HEAD_FOR_LAYOUT).split(b"\n")[:-1]
    blank = sum(not line.strip() for line in lines)
    return "blank_line" if blank * _LINES_PER_BLOCK >= len(lines) else "line"


_HEAD_FOR_LAYOUT = 1 << 20
#: Fewer blank lines than one in so many: they are an accident, and lines are the documents.
_LINES_PER_BLOCK = 50


def _scale(
    file: DataFile, rows: list[dict[str, Any]], records: list[RawRecord], seen: int
) -> float:
    """Estimate how many times larger the file is than what was read of it."""
    if file.format == "parquet":
        return pq.read_metadata(file.path).num_rows / max(1, seen)
    read = sum(
        len(((record.meta if rows else record.text) or "").encode("utf-8", "replace"))
        for record in records
    )
    return max(1.0, _decoded_bytes(file) / max(1, read))


def _decoded_bytes(file: DataFile) -> float:
    """Estimate the size of a file without its compression from what its beginning unpacks to."""
    if file.format == "hf_disk":
        return file.num_bytes
    if file.format == "zip":
        with zipfile.ZipFile(file.path) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    with open_stream(str(file.path)) as stream:
        num_decoded = 0
        while num_decoded < _MEASURED_BYTES and (piece := stream.read(1 << 20)):
            num_decoded += len(piece)
        return num_decoded * file.num_bytes / max(1, stream.num_stored)
