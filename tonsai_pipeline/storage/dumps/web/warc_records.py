"""Bytes of a WARC file -> its records; behind one that is broken the next one is found.

    WARC/1.0␍␊ headers ␍␊␍␊ content ␍␊␍␊ WARC/1.0 ... ──iter_records──▶ WarcRecord(headers, data, problem)

Lengths lie, headers break off, gzip members are damaged: a record whose length is wrong costs itself, as the
next one is known by its first line.

Source: ISO 28500:2017 (WARC 1.1), section 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tonsai_pipeline.storage.dumps.compression.decoded import Damage
from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, bad_of
from tonsai_pipeline.storage.dumps.records import EXCERPT_CHARS, BadRow, excerpt

_READ_BYTES = 256 << 10
_LINE_BYTES = 64 << 10
_MAX_HEADER_LINES = 1000
_START = re.compile(rb"WARC/[01]\.\d+[ \t]*\r?\n")
_NEXT = re.compile(rb"\r?\n\r?\n(?=WARC/[01]\.\d+\r?\n)")
_NEXT_BYTES = 16


@dataclass(frozen=True)
class WarcRecord:
    """One record, or what stands in its place.

    Attributes:
        offset: Where it begins, in decompressed bytes.
        headers: Lower-case name -> value.
        data: Its content, the beginning of it if it is longer than the limit; empty if nobody wants it.
        num_bytes: Length of the content.
        problem: Why it cannot be used; its row is to be set.
    """

    offset: int
    headers: Mapping[str, str]
    data: bytes = b""
    num_bytes: int = 0
    problem: BadRow | None = None


def iter_records(
    stream: ByteStream, wants: Callable[[Mapping[str, str]], bool], max_bytes: int
) -> Iterator[WarcRecord]:
    """Yield the records of an archive, broken ones too.

    Args:
        stream: Where to read on.
        wants: Told the headers, whether the content is to be kept.
        max_bytes: Longest content that is kept whole.
    """
    cursor = _Cursor(stream)
    is_lost = False  # where the next record begins is not known
    while True:
        for damage in cursor.pass_damages():
            yield WarcRecord(
                cursor.offset, {}, problem=bad_of(damage, row=0, byte_offset=cursor.offset)
            )
            is_lost = is_lost or damage.is_gap
        start = cursor.offset
        line = cursor.readline()
        if not line:
            if not cursor.at_gap:
                return
        elif _START.fullmatch(line):
            record, is_lost = _read_record(cursor, start, wants, max_bytes)
            yield record
        elif line.strip() and not is_lost:
            num_bytes = len(line) + _skip_to_start(cursor)
            detail = f"no record begins here; {num_bytes:,} bytes skipped"
            lost = stream.stored_bytes(num_bytes)
            problem = BadRow(0, start, "corrupt_file", detail, excerpt(line), lost_bytes=lost)
            yield WarcRecord(start, {}, problem=problem)


def _skip_to_start(cursor: _Cursor) -> int:
    """Read up to the first line of a record; return the number of bytes."""
    start = cursor.offset
    while line := cursor.readline():
        if _START.fullmatch(line):
            cursor.unread(line)
            break
    return cursor.offset - start


def _read_record(
    cursor: _Cursor, start: int, wants: Callable[[Mapping[str, str]], bool], max_bytes: int
) -> tuple[WarcRecord, bool]:
    """Read a record behind its first line; return whether the place of the next one is lost."""
    headers = _read_headers(cursor)
    if headers is None:
        return _broken(cursor, start, {}, b"", "its header breaks off")
    length = headers.get("content-length", "").strip()
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        detail = f"Content-Length is {length!r}" if length else "no Content-Length"
        return _broken(cursor, start, headers, b"", detail)
    is_wanted = wants(headers)
    body = _read_body(cursor, int(length), max_bytes if is_wanted else 0)
    if not body.is_whole:
        detail = f"{body.num_bytes:,} bytes of content, Content-Length is {int(length):,}"
    elif not _at_end(cursor, body.data):
        detail = "more bytes follow than Content-Length says"
    else:
        return WarcRecord(start, headers, body.data, int(length)), False
    if body.is_whole and body.next_start is None:
        # The content may have taken a part of the next record's first line.
        body.next_start = _split_start(body.tail, cursor)
    if body.next_start is not None:
        cursor.unread(body.next_start)
        detail = f"a record begins inside the {int(length):,} bytes that Content-Length says"
        problem = BadRow(0, start, "broken_record", detail, excerpt(body.data))
        return WarcRecord(start, headers, problem=problem), False
    return _broken(cursor, start, headers, body.data, detail)


def _broken(
    cursor: _Cursor, start: int, headers: Mapping[str, str], data: bytes, detail: str
) -> tuple[WarcRecord, bool]:
    """Return a record that is no use: torn by a gap, cut by the end of the file, or wrong in itself."""
    damages = cursor.pass_damages()
    if damages:
        problem = bad_of(damages[0], row=0, byte_offset=start, fragment=data)
    elif cursor.is_at_end:
        detail = f"the file ends inside a record: {detail}"
        problem = BadRow(0, start, "truncated_file", detail, excerpt(data), lost_bytes=None)
    else:
        problem = BadRow(0, start, "broken_record", detail, excerpt(data))
    return WarcRecord(start, headers, problem=problem), True


def _read_headers(cursor: _Cursor) -> dict[str, str] | None:
    """Read named fields up to the blank line; None if they break off."""
    headers: dict[str, str] = {}
    name = ""
    for _ in range(_MAX_HEADER_LINES):
        line = cursor.readline()
        if line.startswith(b"WARC/") and _START.fullmatch(line):
            cursor.unread(line)
            return None
        if not line.endswith(b"\n"):
            return None
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text:
            return headers
        if text[0] in " \t" and name:
            headers[name] += " " + text.strip()
            continue
        name, _, value = text.partition(":")
        name = name.strip().lower()
        headers.setdefault(name, value.strip())
    return None


def _split_start(tail: bytes, cursor: _Cursor) -> bytes | None:
    """Return the first line of a record of which a part was read as content; None if there is none."""
    line = cursor.readline()
    if (found := _NEXT.search(tail + line)) is not None:
        return (tail + line)[found.end() :]
    cursor.unread(line)
    return None


@dataclass
class _Body:
    data: bytes
    num_bytes: int
    is_whole: bool
    next_start: bytes | None  # bytes from where another record seems to begin inside
    tail: bytes  # the last ones


def _read_body(cursor: _Cursor, length: int, max_bytes: int) -> _Body:
    """Read a record's content; keep at most some `max_bytes` of it."""
    pieces: list[bytes] = []
    num_bytes = 0
    tail = b""
    next_start: bytearray | None = None
    while num_bytes < length and (piece := cursor.read(min(_READ_BYTES, length - num_bytes))):
        if num_bytes <= max_bytes or not pieces:
            pieces.append(piece)
        num_bytes += len(piece)
        if next_start is not None:
            next_start += piece if len(next_start) < max_bytes + _READ_BYTES else b""
        elif b"\nWARC/" in piece and (found := _NEXT.search(tail + piece)) is not None:
            next_start = bytearray((tail + piece)[found.end() :])
        tail = piece[-_NEXT_BYTES:]
    data = b"".join(pieces)
    kept = data if max_bytes else data[: 4 * EXCERPT_CHARS]
    start = bytes(next_start) if next_start else None
    return _Body(kept, num_bytes, num_bytes == length, start, tail)


def _at_end(cursor: _Cursor, data: bytes) -> bool:
    """Tell whether a record ends here: two line breaks, another record, or the end of the file."""
    for num_blank in range(2):
        line = cursor.readline()
        if line.strip():
            cursor.unread(line)
            # Line breaks that are missing here were taken for content.
            return bool(_START.fullmatch(line)) and not (
                num_blank and data.endswith((b"\r", b"\n"))
            )
    return True


class _Cursor:
    """A stream that stops at its gaps and takes bytes back.

    It stops at wrong checksums too: members hold whole records, and damaged ones may lack their last line break.

    Attributes:
        offset: Of the next byte.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.offset = 0
        self._stream = stream
        self._damages = stream.damages
        self._held = b""
        self._num_damages = 0

    @property
    def at_gap(self) -> bool:
        """Tell whether bytes are missing here."""
        damages = self._damages
        is_new = len(damages) > self._num_damages
        return is_new and damages[self._num_damages].offset <= self.offset

    @property
    def is_at_end(self) -> bool:
        """Tell whether the file ends here."""
        return not self._held and not self._stream.peek(1)

    def pass_damages(self) -> list[Damage]:
        """Return the damages up to here, each once."""
        if len(self._damages) == self._num_damages:
            return []
        damages = self._damages[self._num_damages :]
        found = [damage for damage in damages if damage.offset <= self.offset]
        self._num_damages += len(found)
        return found

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at a gap or at the end."""
        if self.at_gap:
            return b""
        data, self._held = self._held[:size], self._held[size:]
        return self._up_to_gap(data or self._stream.read(size))

    def readline(self) -> bytes:
        """Return a line with its end, or the beginning of a very long one; none at a gap or at the end."""
        if self.at_gap:
            return b""
        if not self._held:
            data = self._stream.readline(_LINE_BYTES)
        elif end := self._held.find(b"\n") + 1:
            data, self._held = self._held[:end], self._held[end:]
        else:
            data, self._held = self._held + self._stream.readline(_LINE_BYTES), b""
        return self._up_to_gap(data)

    def unread(self, data: bytes) -> None:
        """Take back the bytes before the current place."""
        self._held = data + self._held
        self.offset -= len(data)

    def _up_to_gap(self, data: bytes) -> bytes:
        if len(self._damages) == self._num_damages:
            self.offset += len(data)
            return data
        end = self.offset + len(data)
        for damage in self._damages[self._num_damages :]:
            if damage.offset < end:
                num_bytes = max(0, damage.offset - self.offset)
                data, self._held = data[:num_bytes], data[num_bytes:] + self._held
                break
        self.offset += len(data)
        return data
