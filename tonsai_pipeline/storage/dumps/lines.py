"""A stream -> its lines, none longer in memory than a limit.

bytes ──iter_lines──▶ Line(data, offset, num_bytes)       a line above the limit comes as its beginning
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tonsai_pipeline.storage.dumps.records import EXCERPT_CHARS
from tonsai_pipeline.storage.dumps.streams import ByteStream

_SKIP_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        data: Its bytes without the line end; the first few if `too_long`.
        offset: Where it begins, in decompressed bytes.
        end: Where the next line begins.
        num_bytes: Its length without the line end.
        too_long: It is above the limit.
        torn: The file broke off inside it.
    """

    data: bytes
    offset: int
    end: int
    num_bytes: int
    too_long: bool
    torn: bool


def iter_lines(stream: ByteStream, max_bytes: int, *, offset: int = 0) -> Iterator[Line]:
    """Yield the lines of a stream; memory is bounded by `max_bytes`.

    Args:
        stream: Where to read on.
        max_bytes: Longest line that is given whole, in bytes.
        offset: Bytes already read from the stream.
    """
    while data := stream.readline(max_bytes + 2):
        start, num_bytes = offset, len(data)
        ended = data.endswith(b"\n")
        kept = data.rstrip(b"\r\n") if ended else data
        too_long = len(kept) > max_bytes
        if too_long:
            kept = kept[: 4 * EXCERPT_CHARS]
        while not ended and (more := stream.readline(_SKIP_BYTES)):
            num_bytes += len(more)
            ended = more.endswith(b"\n")
        offset += num_bytes
        torn = not ended and stream.damage is not None
        length = num_bytes - ended if too_long else len(kept)
        yield Line(kept, start, offset, length, too_long, torn)


def skip_byte_order_mark(stream: ByteStream) -> int:
    """Step over a UTF-8 byte order mark; return the number of bytes stepped over."""
    return len(stream.read(len(_BOM))) if stream.peek(len(_BOM)).startswith(_BOM) else 0


def is_utf16(stream: ByteStream) -> bool:
    """Tell whether a stream begins with the byte order mark of UTF-16."""
    return stream.peek(2).startswith(_UTF16_BOMS)
