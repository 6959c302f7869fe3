"""What a reader gives: good rows, bad rows with their reason, and the checks that tell them apart.

    fields of one record ──to_record──▶ RawRecord  |  BadRow(reason, detail, position, excerpt)
                              └─ Tally: records skipped by reason, fields left out by name

Reasons are closed lists, `BAD_ROW_REASONS` and `SKIP_REASONS`: they are counted, shown and searched for. Good
rows, bad rows and skipped records account for every record of a file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

#: Characters of a bad row that are kept for the eyes.
EXCERPT_CHARS = 500
#: Room for the fields beside the text in one record, in bytes.
_META_BYTES = 1 << 20

_SURROGATE = re.compile("[\ud800-\udfff]")

TextLayout = Literal["file", "line", "blank_line"]

#: Every reason a reader may give, and what it means.
BAD_ROW_REASONS: Mapping[str, str] = {
    "broken_json": "the record is not JSON",
    "not_an_object": "the record is JSON, but not an object with fields",
    "missing_text": "the record has no text field, or it is null",
    "text_not_string": "the text field holds something else than text",
    "invalid_utf8": "the bytes are not UTF-8",
    "lone_surrogate": "the text holds half of a UTF-16 pair, which no UTF-8 file can hold",
    "nul_character": "the text holds U+0000, as binary data does",
    "too_long": "the record is longer than max_document_bytes",
    "broken_csv": "the record breaks the rules of CSV, or has another number of fields than the header",
    "missing_text_column": "the file has no such column; none of its rows can be read",
    "corrupt_row_group": "a stretch of a Parquet file is damaged; the rest of the file is read",
    "broken_xml": "the page is not well-formed XML; reading goes on at the next page",
    "broken_markup": "the page's markup could not be parsed",
    "broken_record": "the archive record's header or length is wrong, or its content is cut",
    "unknown_encoding": "the page's encoding is unknown or does not fit its bytes",
    "needs_ocr": "no page of the PDF has text; they are pictures",
    "encrypted_pdf": "the PDF asks for a password",
    "broken_to_unicode": "the PDF's characters are not those that it draws; they are lost or in the wrong order",
    "empty_pdf": "the PDF has neither text nor pictures",
    "broken_pdf": "the PDF is damaged, or none",
    "pdf_too_costly": "the PDF took more time, memory or pages than is allowed",
    "truncated_file": "the file ends too early; how much is lost cannot be known from it",
    "corrupt_file": "a stretch of the file is damaged; what is readable before and after it is kept",
}

#: Every reason for which a record is no document though nothing is wrong with it.
SKIP_REASONS: Mapping[str, str] = {
    "where": "a field beside the text has not the value that the source's `where` asks for",
    "namespace": "the page is no article (talk, template, file, ...)",
    "redirect": "the page only leads to another one",
    "not_wikitext": "the page is a script, a style sheet or data",
    "empty": "the page or record has no text",
    "record_type": "the archive record holds no page (request, metadata, revisit, ...)",
    "http_status": "the page was not there (HTTP status other than 200)",
    "not_html": "the response is no HTML page and no PDF",
    "no_main_text": "the page has no main text beside navigation and lists",
    "unknown_format": "a file in an archive whose name does not tell its format",
    "repeated_header": "the header line of a file that was appended to this one",
}

#: What the pages of a PDF hold.
PAGE_KINDS: Mapping[str, str] = {
    "read": "text",
    "needs_ocr": "pictures alone",
    "broken_to_unicode": "characters that are not those that are drawn",
    "broken_pdf": "damage: they cannot be read",
    "blank": "nothing",
}


class RawRecord(NamedTuple):
    """One document as the dump had it.

    Attributes:
        text: The text, unchanged.
        row: Index of the record in its file, from 0, bad records included.
        url: Where the text came from, if the dump says.
        title: Its title, if the dump says.
        meta: The record's other fields as a JSON object; None if there are none.
    """

    text: str
    row: int
    url: str | None
    title: str | None
    meta: str | None


class BadRow(NamedTuple):
    """A record, or a stretch of a file, that could not be read.

    Attributes:
        row: Index of the record in its file, from 0.
        byte_offset: Where it begins in the decompressed bytes; None where the format has no such thing.
        reason: One of `BAD_ROW_REASONS`.
        detail: What exactly was wrong, in words.
        excerpt: Its beginning, at most `EXCERPT_CHARS` characters.
        num_rows: Records lost with it: 1, or those of a stretch as far as they are known.
        lost_bytes: Bytes of the file as stored that were lost beside the record itself; None if nobody can
            know how many.
    """

    row: int
    byte_offset: int | None
    reason: str
    detail: str
    excerpt: str
    num_rows: int = 1
    lost_bytes: int | None = 0


@dataclass(frozen=True)
class Dialect:
    r"""How a CSV or TSV file tells fields apart; None is the habit of the format.

    Args:
        delimiter: One character between fields: `,` in CSV, a tab in TSV.
        quoting: "minimal": a field may stand in quotes, as in RFC 4180, the habit of CSV. "none": quotes are
            text and a record is a line, the habit of TSV.
        escape: One character that makes the next one text (a backslash, in dumps of MySQL and Spark).
    """

    delimiter: str | None = None
    quoting: Literal["minimal", "none"] | None = None
    escape: str | None = None


@dataclass
class Tally:
    """What a reader met that is neither a document nor a bad row.

    Attributes:
        skipped: Records by the reason (one of `SKIP_REASONS`) they are no documents for.
        left_out: Fields beside the text, by name, that could not be kept; their records are documents.
        pages: Pages of PDFs by what they held, one of `PAGE_KINDS`.
    """

    skipped: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """Forget what was counted."""
        self.skipped.clear()
        self.left_out.clear()
        self.pages.clear()

    def skip(self, reason: str) -> None:
        """Count a record that is no document."""
        self.skipped[reason] += 1


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Args:
        text_column: Field that holds the text; `a.b` reaches into a nested object. "": no text, all fields in `meta`.
        text_layout: Plain text only: what a document is.
        max_document_bytes: Longer texts are bad rows, in bytes of UTF-8.
        start_row: Records before this one are left out, as cheaply as the format allows.
        dialect: CSV and TSV only: how fields are told apart.
        tally: Counts what is skipped or left out behind `start_row`.
    """

    text_column: str = "text"
    text_layout: TextLayout = "blank_line"
    max_document_bytes: int = 64 << 20
    start_row: int = 0
    dialect: Dialect = field(default_factory=Dialect)
    tally: Tally = field(default_factory=Tally, compare=False)

    @property
    def max_record_bytes(self) -> int:
        """Bytes of one stored record at most: escaped as JSON, Khmer takes twice its UTF-8 bytes."""
        return 2 * self.max_document_bytes + _META_BYTES


def to_record(
    fields: Mapping[str, Any], *, row: int, byte_offset: int | None, options: ReadOptions
) -> RawRecord | BadRow:
    """Find the text among the fields of a record and keep the other fields as `meta`.

    Example:
        >>> to_record({"text": "abc", "n": 1}, row=7, byte_offset=0, options=ReadOptions())
        RawRecord(text='abc', row=7, url=None, title=None, meta='{"n":1}')
        >>> to_record({"body": "abc"}, row=7, byte_offset=0, options=ReadOptions()).reason
        'missing_text'
    """
    others = dict(fields)
    text = _take(others, options.text_column) if options.text_column else ""
    if text is _ABSENT:
        names = ", ".join(map(str, fields)) or "none"
        detail = f"no field '{options.text_column}'; fields: {names} (set the source's text_column)"
        return BadRow(row, byte_offset, "missing_text", detail, excerpt(repr(others)))
    if text is None:
        detail = f"field '{options.text_column}' is null"
        return BadRow(row, byte_offset, "missing_text", detail, excerpt(repr(others)))
    if not isinstance(text, str):
        detail = f"field '{options.text_column}' holds {type(text).__name__}"
        return BadRow(row, byte_offset, "text_not_string", detail, excerpt(repr(text)))
    if (bad := check_text(text, row=row, byte_offset=byte_offset, options=options)) is not None:
        return bad
    url = title = None
    if options.text_column:
        url, title = _take_string(others, "url"), _take_string(others, "title")
    return RawRecord(text, row, url, title, dump_meta(others, options.tally) if others else None)


def check_text(
    text: str, *, row: int, byte_offset: int | None, options: ReadOptions
) -> BadRow | None:
    """Return why a text cannot be kept, or None."""
    # A character takes at most 4 bytes: most texts are short enough without being encoded.
    if 4 * len(text) > options.max_document_bytes:
        num_bytes = len(text.encode("utf-8", "surrogatepass"))
        if num_bytes > options.max_document_bytes:
            return too_long(num_bytes, text, row=row, byte_offset=byte_offset, options=options)
    if (position := text.find("\0")) >= 0:
        detail = f"U+0000 at character {position}"
        return BadRow(row, byte_offset, "nul_character", detail, excerpt(text))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        detail = f"U+{ord(text[error.start]):04X} at character {error.start}"
        return BadRow(row, byte_offset, "lone_surrogate", detail, excerpt(text))
    return None


def decode_text(
    data: bytes, *, row: int, byte_offset: int | None, options: ReadOptions
) -> str | BadRow:
    """Decode and check the bytes of a whole text."""
    if len(data) > options.max_document_bytes:
        return too_long(len(data), data, row=row, byte_offset=byte_offset, options=options)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return invalid_utf8(data, error, row=row, byte_offset=byte_offset)
    return check_text(text, row=row, byte_offset=byte_offset, options=options) or text


def too_long(
    num_bytes: int, start: str | bytes, *, row: int, byte_offset: int | None, options: ReadOptions
) -> BadRow:
    """Return the bad row for a text above the limit; `start` is its beginning."""
    limit = options.max_document_bytes
    detail = f"{num_bytes:,} bytes, max_document_bytes is {limit:,} (raise it in the recipe's ingest section)"
    return BadRow(row, byte_offset, "too_long", detail, excerpt(start))


def invalid_utf8(
    data: bytes, error: UnicodeDecodeError, *, row: int, byte_offset: int | None
) -> BadRow:
    """Return the bad row for bytes that are not UTF-8."""
    detail = f"byte 0x{data[error.start]:02X} at byte {error.start} of the record: {error.reason}"
    around = data[max(0, error.start - 40) : error.start + EXCERPT_CHARS]
    return BadRow(row, byte_offset, "invalid_utf8", detail, excerpt(around))


def excerpt(value: str | bytes) -> str:
    r"""Return the beginning of a value in a form that any table can hold.

    Example:
        >>> excerpt(b"abc\xff\x00")
        'abc\\xff\\x00'
    """
    if isinstance(value, bytes):
        value = value[: 4 * EXCERPT_CHARS].decode("utf-8", "backslashreplace")
    value = value[:EXCERPT_CHARS].encode("utf-8", "backslashreplace").decode()
    return value.replace("\0", "\\x00")[:EXCERPT_CHARS]


def dump_meta(fields: Mapping[str, Any], tally: Tally) -> str | None:
    """Write fields as one JSON object; what JSON cannot hold is left out and counted.

    Returns:
        None if no field is left.
    """
    kept = {name: value for name, value in fields.items() if value is not LEFT_OUT}
    if len(kept) < len(fields):
        tally.left_out.update(str(name) for name in fields if name not in kept)
    try:
        return orjson.dumps(kept, default=_plain, option=_JSON_OPTIONS).decode() if kept else None
    except (TypeError, ValueError, RecursionError):
        pieces = {name: _as_json(name, value) for name, value in kept.items()}
    tally.left_out.update(str(name) for name, piece in pieces.items() if piece is None)
    return (
        f"{{{','.join(piece for piece in pieces.values() if piece)}}}"
        if any(pieces.values())
        else None
    )


_JSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
#: Stands for a value that a library could not give.
LEFT_OUT = object()
_ABSENT = object()


def _as_json(name: Any, value: Any) -> str | None:
    """Write one field as `"name":value`; None if JSON cannot hold it."""
    try:
        return orjson.dumps({name: value}, default=_plain, option=_JSON_OPTIONS).decode()[1:-1]
    except (TypeError, ValueError, RecursionError):
        pass  # integers beyond 64 bits are JSON, but not to orjson
    try:
        text = json.dumps(
            {name: value},
            default=_plain,
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
        )
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return text[1:-1]


def _plain(value: Any) -> Any:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


def _take(fields: dict[str, Any], column: str) -> Any:
    """Take a field out; `a.b` is first a name and then a path."""
    if column in fields:
        return fields.pop(column)
    head, _, rest = column.partition(".")
    inner = fields.get(head)
    if not rest or head not in fields:
        return _ABSENT
    if not isinstance(inner, dict):
        return None if inner is None else _ABSENT
    fields[head] = inner = dict(inner)
    return _take(inner, rest)


def _take_string(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    is_plain = isinstance(value, str) and not _SURROGATE.search(value)
    return fields.pop(name) if is_plain else None
