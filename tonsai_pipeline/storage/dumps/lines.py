"""A stream -> its lines, none longer in memory than a limit.

bytes ──iter_lines──▶ Line(data, offset, num_bytes)       a line above the limit comes as its beginning
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from tonsai_pipeline.storage.dumps.compression.decoded import Damage
from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, bad_of
from tonsai_pipeline.storage.dumps.records import EXCERPT_CHARS, BadRow

_SKIP_BYTES = 1 << 20
_PEEK_BYTES = 64 << 10
BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        data: Its bytes without the line end; the first few if `too_long`.
        offset: Where it begins, in decompressed bytes.
        end: Where the next line begins.
        num_bytes: Its length without the line end.
        too_long: It is above the limit.
        ended: It has a line end; the last line of a file may have none.
        damages: The gaps of the file that it ends at, so that it is no whole line. Damage that tears no line
            comes with an empty one.
        after_gap: It begins behind a gap: it may lack its beginning.
    """

    data: bytes
    offset: int
    end: int
    num_bytes: int
    too_long: bool
    ended: bool
    damages: tuple[Damage, ...] = ()
    after_gap: bool = False

    def bad_rows(
        self, row: int, *, fragment: bytes = b"", start: int | None = None
    ) -> list[BadRow]:
        """Return one bad row for each gap, the first for record `row` that began at `start`."""
        start = self.offset if start is None else start
        return [
            bad_of(damage, row=row + index, byte_offset=start, fragment=fragment or self.data)
            for index, damage in enumerate(self.damages)
        ]


def iter_lines(stream: ByteStream, max_bytes: int, *, offset: int = 0) -> Iterator[Line]:
    """Yield the lines of a stream; memory is bounded by `max_bytes`.

    Where the first line ends are those of old Macs (U+000D alone), lines end there.

    Args:
        stream: Where to read on.
        max_bytes: Longest line that is given whole, in bytes.
        offset: Bytes already read from the stream.
    """
    source = _with_newlines(stream)
    damages, num_damages = stream.damages, 0
    while data := source.readline(max_bytes + 2):
        start, num_bytes = offset, len(data)
        ended = data.endswith(b"\n")
        kept = data.rstrip(b"\r\n") if ended else data
        too_long = len(kept) > max_bytes
        if too_long:
            kept = kept[: 4 * EXCERPT_CHARS]
        while not ended and (more := source.readline(_SKIP_BYTES)):
            num_bytes += len(more)
            ended = more.endswith(b"\n")
        offset += num_bytes
        length = num_bytes - ended if too_long else len(kept)
        line = Line(kept, start, offset, length, too_long, ended)
        if len(damages) == num_damages:
            yield line
            continue
        new = [damage for damage in damages[num_damages:] if damage.offset <= offset]
        gaps = [one for one in new if one.is_gap and (one.offset < offset or not ended)]
        checksums = [one for one in new if not one.is_gap]
        num_damages += len(gaps) + len(checksums)
        yield from _torn(line, gaps) if gaps else [line]
        if checksums:
            yield _nothing(offset, checksums)
    if rest := damages[num_damages:]:
        yield _nothing(offset, rest)


def _torn(line: Line, gaps: list[Damage]) -> Iterator[Line]:
    """Yield what stands before the last gap in a line, and what stands behind it."""
    gap = gaps[-1].offset
    size = min(gap - line.offset, len(line.data))
    before = line.data[:size]
    yield Line(before, line.offset, gap, size, too_long=False, ended=False, damages=tuple(gaps))
    if gap < line.end:
        behind = line.data[size:]
        length = line.num_bytes - size
        yield line._replace(data=behind, offset=gap, num_bytes=length, after_gap=True)


def _nothing(offset: int, damages: list[Damage]) -> Line:
    return Line(b"", offset, offset, 0, too_long=False, ended=False, damages=tuple(damages))


class _Translated(io.RawIOBase):
    """A stream whose U+000D are line ends."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read1(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(data)] = data
        return len(data)


def _with_newlines(stream: ByteStream) -> io.BufferedReader:
    start = stream.peek(_PEEK_BYTES)[:_PEEK_BYTES]
    is_mac = b"\r" in start and b"\n" not in start
    return io.BufferedReader(_Translated(stream), _PEEK_BYTES) if is_mac else stream


def skip_byte_order_mark(stream: ByteStream) -> int:
    """Step over a UTF-8 byte order mark; return the number of bytes stepped over."""
    return len(stream.read(len(BOM))) if stream.peek(len(BOM)).startswith(BOM) else 0


def is_utf16(stream: ByteStream) -> bool:
    """Tell whether a stream begins with the byte order mark of UTF-16."""
    return stream.peek(2).startswith(_UTF16_BOMS)
