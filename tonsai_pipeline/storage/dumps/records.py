"""What a reader gives: good rows, bad rows with their reason, and the checks that tell them apart.

    fields of one record ──to_record──▶ RawRecord  |  BadRow(reason, detail, position, excerpt)

Reasons are a closed list, `BAD_ROW_REASONS`: they are counted, shown and searched for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
    "broken_xml": "the file is not well-formed XML from here on",
    "broken_markup": "the page's wiki markup could not be parsed",
    "broken_record": "the archive record's length is wrong, so that its text is cut",
    "unknown_encoding": "the page's character encoding is unknown or does not fit its bytes",
    "truncated_file": "the file ends too early; everything before is kept",
    "corrupt_file": "the file is damaged from here on; everything before is kept",
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
    """

    row: int
    byte_offset: int | None
    reason: str
    detail: str
    excerpt: str
    num_rows: int = 1


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Args:
        text_column: Field that holds the text; `a.b` reaches into a nested object. None: no text, all fields in `meta`.
        text_layout: Plain text only: what a document is.
        max_document_bytes: Longer texts are bad rows, in bytes of UTF-8.
        start_row: Records before this one are passed over as cheaply as the format allows.
    """

    text_column: str | None = "text"
    text_layout: TextLayout = "blank_line"
    max_document_bytes: int = 64 << 20
    start_row: int = 0

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
    text = "" if options.text_column is None else _take(others, options.text_column)
    if text is None:
        names = ", ".join(map(str, fields)) or "none"
        detail = f"no field '{options.text_column}'; fields: {names} (set the source's text_column)"
        return BadRow(row, byte_offset, "missing_text", detail, excerpt(repr(others)))
    if not isinstance(text, str):
        detail = f"field '{options.text_column}' holds {type(text).__name__}"
        return BadRow(row, byte_offset, "text_not_string", detail, excerpt(repr(text)))
    if (bad := check_text(text, row=row, byte_offset=byte_offset, options=options)) is not None:
        return bad
    url = title = None
    if options.text_column is not None:
        url, title = _take_string(others, "url"), _take_string(others, "title")
    try:
        meta = dump_meta(others) if others else None
    except UnicodeEncodeError as error:
        detail = f"a field beside the text: {error.reason}"
        return BadRow(row, byte_offset, "lone_surrogate", detail, excerpt(text))
    return RawRecord(text, row, url, title, meta)


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


def dump_meta(fields: Mapping[str, Any]) -> str:
    """Write fields as one JSON object; values JSON has no word for are written as text.

    Raises:
        UnicodeEncodeError: A field holds half of a UTF-16 pair.
    """
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(fields, default=_plain, option=options).decode()
    except TypeError:
        # Integers beyond 64 bits and half pairs; the second cannot be encoded either.
        text = json.dumps(fields, default=_plain, ensure_ascii=False, separators=(",", ":"))
        text.encode()
        return text


def _plain(value: Any) -> Any:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


def _take(fields: dict[str, Any], column: str) -> Any:
    """Take a field out; `a.b` is first a name and then a path."""
    if column in fields:
        return fields.pop(column)
    head, _, rest = column.partition(".")
    inner = fields.get(head)
    if not rest or not isinstance(inner, dict):
        return None
    fields[head] = inner = dict(inner)
    return _take(inner, rest)


def _take_string(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    is_plain = isinstance(value, str) and not _SURROGATE.search(value)
    return fields.pop(name) if is_plain else None
