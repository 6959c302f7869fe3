"""The blocks of a damaged bzip2 stream -> those that can be decoded, each by itself.

    ...damage... |magic crc block|magic crc block|end magic crc|       blocks begin at any bit, not at bytes
                  └─ own stream ─┘└─ own stream ─┘

A block (up to 900 kB of text) depends on no other: cut out at its magic number, put between a header and an end
mark, it is a whole stream. Dumps of Wikipedia are single streams of many blocks.

Source: J. Seward, bzip2 1.0.8, bzip2recover.c; the layout is described there.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Callable, Generator

_BLOCK_MAGIC, _END_MAGIC = 0x314159265359, 0x177245385090
_MAGIC_BITS, _CRC_BITS = 48, 32
#: Stored bytes of a block at most, with room to spare: incompressible text of 900 kB grows by 1 %.
_MAX_BLOCK_BYTES = 1 << 20
_READ_BYTES = 256 << 10


def _patterns() -> re.Pattern[bytes]:
    """Match the bytes that lie whole inside a magic number, at each of its eight alignments."""
    inner = []
    for magic in (_BLOCK_MAGIC, _END_MAGIC):
        for shift in range(8):
            # Behind `shift` bits of something else 48 bits fill bytes 1 to 5 (all six if aligned).
            whole = (magic << (8 - shift) if shift else magic << 8).to_bytes(7, "big")
            inner.append(whole[1:6] if shift else whole[:6])
    return re.compile(b"|".join(re.escape(one) for one in inner))


_CANDIDATE = _patterns()


def salvage(held: bytes, read: Callable[[int], bytes]) -> Generator[bytes | int, None, bytes]:
    """Decode the blocks behind a fault.

    Args:
        held: Stored bytes from somewhere inside the damaged stream on.
        read: Gives the stored bytes behind them.

    Yields:
        The text of a block, or the number of stored bytes that lie between two blocks that could be decoded.

    Returns:
        The bytes behind the stream's end mark.
    """
    data, skipped = held, 0
    is_at_end = False
    while True:
        first = _find(data, 0)
        while first is None and not is_at_end:
            more = read(_READ_BYTES)
            is_at_end = not more
            cut = max(0, len(data) - 8)
            skipped += cut
            data = data[cut:] + more
            first = _find(data, 0)
        if first is None:
            yield skipped + len(data)
            return b""
        start, magic = first
        if magic == _END_MAGIC:
            end = (start + _MAGIC_BITS + _CRC_BITS + 7) // 8
            while len(data) < end and (more := read(_READ_BYTES)):
                data += more
            if skipped + start // 8:
                yield skipped + start // 8
            return data[end:]
        following = _find(data, start + _MAGIC_BITS)
        while following is None and not is_at_end and len(data) - start // 8 < _MAX_BLOCK_BYTES:
            more = read(_READ_BYTES)
            is_at_end = not more
            data += more
            following = _find(data, start + _MAGIC_BITS)
        stop = following[0] if following else len(data) * 8
        text = _decode(data, start, stop) if following else None
        if text is None:
            skipped += stop // 8
        else:
            if skipped + start // 8:
                yield skipped + start // 8
            yield text
            skipped = 0
        # The next magic number stays; its first bits may share a byte with this block.
        keep = stop // 8 if following else len(data)
        data = data[keep:]


def _find(data: bytes, from_bit: int) -> tuple[int, int] | None:
    """Return the first bit of the next magic number, and which it is."""
    position = max(0, from_bit // 8 - 1)
    while (found := _CANDIDATE.search(data, position)) is not None:
        for byte in (found.start() - 1, found.start()):
            if byte < 0:
                continue
            window = int.from_bytes(data[byte : byte + 7].ljust(7, b"\0"), "big")
            for shift in range(8):
                bit = byte * 8 + shift
                value = (window >> (8 - shift)) & ((1 << _MAGIC_BITS) - 1)
                if value in (_BLOCK_MAGIC, _END_MAGIC) and bit >= from_bit:
                    return bit, value
        position = found.start() + 1
    return None


def _decode(data: bytes, start: int, stop: int) -> bytes | None:
    """Decode the block between two bits as a stream of its own; None if it is damaged."""
    num_bits = stop - start
    first = start // 8
    chunk = int.from_bytes(data[first : (stop + 7) // 8], "big")
    block = (chunk >> (-stop % 8)) & ((1 << num_bits) - 1)
    crc = (block >> (num_bits - _MAGIC_BITS - _CRC_BITS)) & ((1 << _CRC_BITS) - 1)
    stream = (((block << _MAGIC_BITS) | _END_MAGIC) << _CRC_BITS) | crc
    num_bits += _MAGIC_BITS + _CRC_BITS
    padding = -num_bits % 8
    body = (stream << padding).to_bytes((num_bits + padding) // 8, "big")
    try:
        return bz2.decompress(b"BZh9" + body)
    except (OSError, ValueError):
        return None
