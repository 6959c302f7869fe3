"""One dump file -> its records, whatever its format.

    location ──detect_format──▶ reader ──▶ RawRecord | BadRow, in file order

A location is a local path, any fsspec URL, or a `hub://` location. Memory is bounded by the longest record
that is allowed, not by the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Literal

from tonsai_pipeline.errors import DumpError, missing_extra
from tonsai_pipeline.storage.dumps.archives import on_disk, read_tar, read_zip
from tonsai_pipeline.storage.dumps.compression.codecs import compression_suffixes
from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, is_url, open_stream
from tonsai_pipeline.storage.dumps.hub import is_hub, read_hub, read_saved
from tonsai_pipeline.storage.dumps.lines import is_utf16, skip_byte_order_mark
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    Dialect,
    RawRecord,
    ReadOptions,
    Tally,
    TextLayout,
)
from tonsai_pipeline.storage.dumps.tables.delimited import read_delimited
from tonsai_pipeline.storage.dumps.tables.json_values import read_json
from tonsai_pipeline.storage.dumps.tables.parquet import read_parquet
from tonsai_pipeline.storage.dumps.text import read_text

TextFormat = Literal["jsonl", "json", "csv", "tsv", "text", "mediawiki", "wet", "warc", "pdf"]
FileFormat = TextFormat | Literal["parquet", "hf_disk", "hub", "zip", "tar"]

#: File name ending (compression taken off) -> format.
_BY_SUFFIX: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".xml": "mediawiki",
    ".wet": "wet",
    ".warc": "warc",
    ".pdf": "pdf",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
    ".tbz2": "tar",
    ".txz": "tar",
}
#: How formats of delimited fields tell them apart, where a source says nothing else.
HABITS = {"csv": Dialect(",", "minimal"), "tsv": Dialect("\t", "none")}
#: Readers of a decompressed stream of UTF-8.
_STREAM_READERS: dict[str, Callable[..., Iterator[RawRecord | BadRow]]] = {
    "jsonl": partial(read_json, lines=True),
    "json": read_json,
    "csv": partial(read_delimited, habit=HABITS["csv"]),
    "tsv": partial(read_delimited, habit=HABITS["tsv"]),
    "text": read_text,
}
#: The same, where encoding is not that of the file: XML declares it, archives have it by record. Module and function:
#: they need the packages of the extra `web`.
_WEB_READERS = {
    "pdf": ("pdf.reader", "read_pdf"),
    "mediawiki": ("web.mediawiki", "read_mediawiki"),
    "wet": ("web.warc", "read_wet"),
    "warc": ("web.warc", "read_warc"),
}
_SKIP_BYTES = 1 << 20
#: A folder written by `Dataset.save_to_disk` holds one of these.
_SAVED_MARKS = ("state.json", "dataset_dict.json")


def read_dump_file(
    location: str,
    *,
    format: FileFormat | Literal["auto"] = "auto",  # noqa: A002 (the word of recipes and users)
    text_column: str = "text",
    text_layout: TextLayout = "blank_line",
    max_document_bytes: int = 64 << 20,
    start_row: int = 0,
    dialect: Dialect | None = None,
    tally: Tally | None = None,
) -> Iterator[RawRecord | BadRow]:
    """Read one file of a dump, record by record.

    Args:
        location: A path, an fsspec URL, or a `hub://` location.
        format: How to read it; "auto" decides by the name.
        text_column: Field that holds the text, in formats that have fields; `a.b` reaches inside. "": the text stays
            empty and `meta` holds every field, to look what there is.
        text_layout: Plain text only: a document is a whole "file", a "line", or a "blank_line" block.
        max_document_bytes: Longer documents are bad rows, in bytes of UTF-8.
        start_row: Leave out the records before this one, as cheaply as the format allows.
        dialect: CSV and TSV only: delimiter, quoting and escape, where they are not those of the format.
        tally: Counts skipped records and fields left out, as they are met.

    Yields:
        Good and bad rows in file order; with the skipped records of the tally they are all that the file
        holds. A stretch that is damaged is a bad row; what is readable behind it follows.

    Raises:
        DumpError: The file is missing or unreadable, its format is unknown, or the network failed.
    """
    options = ReadOptions(
        text_column,
        text_layout,
        max_document_bytes,
        start_row,
        dialect or Dialect(),
        tally if tally is not None else Tally(),
    )
    archive = _archive_kind(location)
    name = archive or (detect_format(location) if format == "auto" else format)
    if name == "hub":
        yield from read_hub(location, options)
    elif name == "hf_disk":
        yield from read_saved(location, options)
    elif name == "parquet":
        yield from read_parquet(location, options)
    elif name in ("zip", "tar"):
        read = read_zip if name == "zip" else read_tar
        yield from read(location, options, partial(_read_member, format=format))
    else:
        with open_stream(location) as stream:
            yield from _read_stream(stream, name, options)


def detect_format(location: str) -> FileFormat:
    """Decide a file's format by its name, or by what a folder holds.

    Raises:
        DumpError: The name says nothing; the message lists what it may end with.

    Example:
        >>> detect_format("a/km.jsonl.zst"), detect_format("CC-MAIN-1.warc.wet.gz")
        ('jsonl', 'wet')
    """
    if is_hub(location):
        return "hub"
    if not is_url(location) and is_saved_dataset(Path(location)):
        return "hf_disk"
    path = PurePosixPath(location.lower())
    if path.suffix in compression_suffixes():
        path = path.with_suffix("")
    if (found := _BY_SUFFIX.get(path.suffix)) is not None:
        return found
    raise DumpError(
        f"{location}: unknown file format; set the source's 'format', or end the name with one of "
        f"{', '.join(_BY_SUFFIX)} (and {', '.join(compression_suffixes())} if it is compressed)"
    )


def is_saved_dataset(path: Path) -> bool:
    """Tell a folder written by `Dataset.save_to_disk` from other folders and files."""
    return path.is_dir() and any((path / mark).is_file() for mark in _SAVED_MARKS)


def _archive_kind(location: str) -> FileFormat | None:
    """Tell an archive by its name: the format of a source is that of the files in it."""
    try:
        name = detect_format(location)
    except DumpError:
        return None
    return name if name in ("zip", "tar") else None


def _read_member(
    stream: ByteStream,
    name: str,
    options: ReadOptions,
    format: FileFormat | Literal["auto"],  # noqa: A002 (as above)
) -> Iterator[RawRecord | BadRow]:
    """Read a file in an archive; one whose format is not known is counted."""
    try:
        found = detect_format(name) if format == "auto" else format
    except DumpError:
        found = None
    if found in (None, "zip", "tar", "hub", "hf_disk"):
        options.tally.skip("unknown_format")
    elif found == "parquet":
        with on_disk(stream) as path:
            yield from read_parquet(path, options)
    else:
        yield from _read_stream(stream, found, options)


def _read_stream(
    stream: ByteStream, name: FileFormat, options: ReadOptions
) -> Iterator[RawRecord | BadRow]:
    if name in _WEB_READERS:
        yield from _web_reader(name, stream.location)(stream, options)
    elif is_utf16(stream):
        while stream.read(_SKIP_BYTES):
            pass
        detail = "the file is UTF-16; convert it with: iconv -f UTF-16 -t UTF-8"
        yield BadRow(0, 0, "invalid_utf8", detail, "", lost_bytes=stream.num_stored)
    else:
        offset = skip_byte_order_mark(stream)
        yield from _STREAM_READERS[name](stream, options, offset=offset)


def _web_reader(name: str, location: str) -> Callable[..., Iterator[RawRecord | BadRow]]:
    module, function = _WEB_READERS[name]
    try:
        return getattr(import_module(f"tonsai_pipeline.storage.dumps.{module}"), function)
    except ModuleNotFoundError as error:
        known = missing_extra(error)
        raise (DumpError(f"{location}: {known}") if known is not None else error) from error
