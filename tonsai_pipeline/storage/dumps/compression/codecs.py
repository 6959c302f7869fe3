"""The compressions of dump files: how each is known, decoded in bounded pieces, and found again after damage.

first bytes, name ──codec_of──▶ Codec(new_decoder, feed, magic)
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import zstandard

#: Most bytes that a decoder gives at once.
_DECODED_BYTES = 1 << 20
#: Text of bzip2 that waits for its checksum: four blocks; blocks that are all repetition may be longer.
_HELD_BYTES = 4 << 20
#: Largest window of zstd that is read: the format's limit for `--long=31`, as dumps of Reddit are packed.
_ZSTD_WINDOW_BYTES = 1 << 31


@dataclass(frozen=True)
class Codec:
    """A compression: how a decoder is made and fed, what it raises, how many bytes it gets at once.

    A few bytes may stand for very many (a bzip2 block of 900 kB takes 45 bytes, a zstd block of 128 kB
    takes 4): a decoder is either asked for a bounded piece, or given so little that a hostile file can
    ask for some 64 MB at most. Small pieces also bound what is lost before a fault: a decoder that fails
    gives nothing of the piece it fails in.

    Args:
        name: For messages.
        new_decoder: Makes a decoder of one member.
        feed: Decoder, stored bytes -> decoded bytes.
        errors: What the decoder raises.
        piece_bytes: Stored bytes for one call of `feed`.
        magic: The first bytes of a member.
        history_bytes: Stored bytes to look through for the next member when damage is noticed: a block with a wrong
            length runs over its end (zstd: 128 kB, a stored block of gzip: 64 kB, bzip2: 900 kB).
    """

    name: str
    new_decoder: Callable[[], Any]
    feed: Callable[[Any, bytes], Iterator[bytes]]
    errors: tuple[type[Exception], ...]
    piece_bytes: int
    magic: re.Pattern[bytes]
    history_bytes: int = 256 << 10

    def starts(self, data: bytes) -> bool:
        """Tell whether bytes can be decoded from here: to the end of a member, or to their own end."""
        decoder = self.new_decoder()
        try:
            for start in range(0, len(data), self.piece_bytes):
                for _ in self.feed(decoder, data[start : start + self.piece_bytes]):
                    pass
                if decoder.eof:
                    return True
        except self.errors:
            return False
        return True


def _feed_zlib(decoder: Any, data: bytes) -> Iterator[bytes]:
    # Behind the end of a member the tail is what `unused_data` holds as well.
    while data and not decoder.eof:
        yield decoder.decompress(data, _DECODED_BYTES)
        data = decoder.unconsumed_tail


def _feed_blocks(decoder: Any, data: bytes) -> Iterator[bytes]:
    yield decoder.decompress(data, _DECODED_BYTES)
    while not (decoder.eof or decoder.needs_input):
        yield decoder.decompress(b"", _DECODED_BYTES)


def _feed_bzip2(decoder: Any, data: bytes) -> Iterator[bytes]:
    """Give blocks whose checksum was seen: the decoder gives the text of a damaged one before it fails."""
    held: list[bytes] = []
    piece = decoder.decompress(data, _DECODED_BYTES)
    # It says that it needs input while text is left, where the input ended with a block.
    while piece or not (decoder.eof or decoder.needs_input):
        held.append(piece)
        if sum(map(len, held)) > _HELD_BYTES:
            yield from held
            held.clear()
        piece = b"" if decoder.eof else decoder.decompress(b"", _DECODED_BYTES)
    yield from held


def _feed_whole(decoder: Any, data: bytes) -> Iterator[bytes]:
    yield decoder.decompress(data)


GZIP = Codec(
    "gzip",
    lambda: zlib.decompressobj(wbits=31),
    _feed_zlib,
    (zlib.error,),
    64 << 10,
    re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"),
)
BZIP2 = Codec(
    "bzip2",
    bz2.BZ2Decompressor,
    _feed_bzip2,
    (OSError, ValueError),
    1 << 10,
    re.compile(rb"BZh[1-9](?:\x31\x41\x59\x26\x53\x59|\x17\x72\x45\x38\x50\x90)"),
    2 << 20,
)
XZ = Codec(
    "xz",
    lzma.LZMADecompressor,
    _feed_blocks,
    (lzma.LZMAError,),
    1 << 10,
    re.compile(rb"\xfd7zXZ\x00"),
)
ZSTD = Codec(
    "zstd",
    lambda: zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj(),
    _feed_whole,
    (zstandard.ZstdError, MemoryError),
    1 << 10,
    # A zstd file may begin with a skippable frame (pzstd writes one): 0x184D2A50 to 5F, little-endian.
    re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
)
_MAGIC = {b"\x1f\x8b": GZIP, b"BZh": BZIP2, b"\xfd7zXZ\0": XZ}
_BY_SUFFIX = {".gz": GZIP, ".bz2": BZIP2, ".xz": XZ, ".zst": ZSTD, ".zstd": ZSTD}


def compression_suffixes() -> tuple[str, ...]:
    """Return the file name endings that mean compression."""
    return tuple(_BY_SUFFIX)


def codec_of(location: str, head: bytes) -> Codec | None:
    """Choose by the first bytes; a file that only claims to be compressed is decoded, and fails, as such."""
    for magic, codec in _MAGIC.items():
        if head.startswith(magic):
            return codec
    if ZSTD.magic.match(head):
        return ZSTD
    return _BY_SUFFIX.get(PurePosixPath(location).suffix.lower())
