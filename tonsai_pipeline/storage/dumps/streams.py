"""Location -> decompressed bytes, as far as the file is whole.

    local path | fsspec URL ──open_stream──▶ ByteStream     reads like a file; `damage` says if it broke off

A truncated or corrupt file is not an error here: its bytes simply end, and after the end `damage` tells
why. So every reader keeps what came before, and none needs to know about compression. A file that cannot
be opened, or a disk or network that fails while reading, is an error: that text still exists.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import fsspec
import zstandard

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.records import BadRow, excerpt

#: The last stored bytes are decoded one by one: a wrong checksum in a trailer then costs no text.
_TRAILER_BYTES = 64
_PLAIN_BYTES = 256 << 10
_BUFFER_BYTES = 256 << 10
#: Most bytes that a decoder gives at once.
_DECODED_BYTES = 1 << 20


@dataclass(frozen=True)
class Damage:
    """Why a file ended before its end.

    Args:
        reason: As in `BadRow`.
        detail: What the decoder said, and at which stored byte.
    """

    reason: Literal["truncated_file", "corrupt_file"]
    detail: str


class ByteStream(io.BufferedReader):
    """The decompressed bytes of a file.

    Attributes:
        location: The file.
        damage: None, or why the bytes ended early; final once a read has returned nothing.
    """

    def __init__(self, raw: _Decoded) -> None:
        super().__init__(raw, _BUFFER_BYTES)
        self._decoded = raw
        self.location = raw.location

    @property
    def damage(self) -> Damage | None:
        """See the class."""
        return self._decoded.damage

    @property
    def num_stored_bytes(self) -> int:
        """Bytes of the file as it is stored that were read so far."""
        return self._decoded.num_read


@contextmanager
def open_stream(location: str) -> Iterator[ByteStream]:
    """Open a file and decompress it by what its first bytes say it is.

    Args:
        location: A path, or any fsspec URL.

    Raises:
        DumpError: The file cannot be opened, or the device or network fails while it is read.
    """
    with open_raw(location) as raw, ByteStream(_Decoded(location, raw)) as stream:
        yield stream


@contextmanager
def open_raw(location: str) -> Iterator[BinaryIO]:
    """Open the stored bytes of a file, seekable where the place allows.

    Raises:
        DumpError: The file cannot be opened; the message says why.
    """
    try:
        if is_url(location):
            raw = cast("BinaryIO", fsspec.open(location, "rb").open())  # pyright: ignore[reportAttributeAccessIssue]
        else:
            raw = Path(location).open("rb")  # noqa: SIM115 (closed below)
    except FileNotFoundError as error:
        raise DumpError(
            f"{location}: no such file; check the source's path, or the data folder (--data, TONSAI_DATA)"
        ) from error
    except IsADirectoryError as error:
        raise DumpError(
            f"{location}: is a folder; name its files, for example {location}/*"
        ) from error
    except PermissionError as error:
        raise DumpError(f"{location}: permission denied; make it readable for this user") from error
    except Exception as error:  # every fsspec protocol has its own errors
        raise DumpError(f"{location}: cannot be opened: {type(error).__name__}: {error}") from error
    with raw:
        yield raw


def is_url(location: str) -> bool:
    """Tell an fsspec URL from a path."""
    return "://" in location


def end_of(
    stream: ByteStream, *, row: int, byte_offset: int | None, fragment: bytes = b""
) -> Iterator[BadRow]:
    """Yield the bad row that stands for the lost rest of a damaged file, or nothing.

    Args:
        stream: A stream that was read to its end.
        row: Index of the first record that is lost.
        byte_offset: Where that record begins, in decompressed bytes.
        fragment: The part of that record that was still there.
    """
    if (damage := stream.damage) is not None:
        yield BadRow(row, byte_offset, damage.reason, damage.detail, excerpt(fragment))


@dataclass(frozen=True)
class _Codec:
    """A compression: how a decoder is made and fed, what it raises, how many bytes it gets at once.

    A few bytes may stand for very many (a bzip2 block of 900 kB takes 45 bytes, a zstd block of 128 kB
    takes 4): a decoder is either asked for a bounded piece, or given so little that a hostile file can
    ask for some 64 MB at most.
    """

    name: str
    new_decoder: Callable[[], Any]
    feed: Callable[[Any, bytes], Iterator[bytes]]
    errors: tuple[type[Exception], ...]
    piece_bytes: int


def _feed_zlib(decoder: Any, data: bytes) -> Iterator[bytes]:
    # Behind the end of a member the tail is what `unused_data` holds as well.
    while data and not decoder.eof:
        yield decoder.decompress(data, _DECODED_BYTES)
        data = decoder.unconsumed_tail


def _feed_blocks(decoder: Any, data: bytes) -> Iterator[bytes]:
    yield decoder.decompress(data, _DECODED_BYTES)
    while not (decoder.eof or decoder.needs_input):
        yield decoder.decompress(b"", _DECODED_BYTES)


def _feed_whole(decoder: Any, data: bytes) -> Iterator[bytes]:
    yield decoder.decompress(data)


_GZIP = _Codec("gzip", lambda: zlib.decompressobj(wbits=31), _feed_zlib, (zlib.error,), 16 << 10)
_BZIP2 = _Codec("bzip2", bz2.BZ2Decompressor, _feed_blocks, (OSError, ValueError), 16 << 10)
_XZ = _Codec("xz", lzma.LZMADecompressor, _feed_blocks, (lzma.LZMAError,), 16 << 10)
_ZSTD = _Codec(
    "zstd",
    lambda: zstandard.ZstdDecompressor().decompressobj(),
    _feed_whole,
    (zstandard.ZstdError,),
    1 << 10,
)
_MAGIC = {b"\x1f\x8b": _GZIP, b"BZh": _BZIP2, b"\xfd7zXZ\0": _XZ, b"\x28\xb5\x2f\xfd": _ZSTD}
#: A zstd file may begin with a skippable frame (pzstd writes one): 0x184D2A50 to 5F, little-endian.
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_BY_SUFFIX = {".gz": _GZIP, ".bz2": _BZIP2, ".xz": _XZ, ".zst": _ZSTD, ".zstd": _ZSTD}


def compression_suffixes() -> tuple[str, ...]:
    """Return the file name endings that mean compression."""
    return tuple(_BY_SUFFIX)


class _Decoded(io.RawIOBase):
    """Raw stream of decompressed bytes; ends where the file is damaged."""

    def __init__(self, location: str, raw: BinaryIO) -> None:
        self.location = location
        self.damage: Damage | None = None
        self._raw = raw
        self.num_read = 0
        self._pieces = self._decode()
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, so that a peek sees the beginning of a file and not its first few bytes."""
        filled = 0
        while filled < len(buffer):
            if not self._piece:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece = memoryview(piece)
            taken = min(len(buffer) - filled, len(self._piece))
            buffer[filled : filled + taken] = self._piece[:taken]
            self._piece = self._piece[taken:]
            filled += taken
        return filled

    def _decode(self) -> Iterator[bytes]:
        head = self._read(16)
        codec = _codec_of(self.location, head)
        if codec is None:
            yield head
            while data := self._read(_PLAIN_BYTES):
                yield data
        else:
            yield from self._decompress(codec, head)

    def _decompress(self, codec: _Codec, head: bytes) -> Iterator[bytes]:
        decoder, inside = codec.new_decoder(), False
        if not head:
            self.damage = Damage("truncated_file", f"an empty file is not a {codec.name} file")
        for piece in self._stored_pieces(codec, head):
            # Zeros between members are padding, as tape and block writers leave it.
            rest = piece if inside else piece.lstrip(b"\0")
            while rest:
                try:
                    yield from codec.feed(decoder, rest)
                except codec.errors as error:
                    self.damage = Damage(
                        "corrupt_file",
                        f"{codec.name}: {error}, near stored byte {self.num_read:,}",
                    )
                    return
                inside, rest = True, b""
                if decoder.eof:
                    rest = decoder.unused_data.lstrip(b"\0")
                    decoder, inside = codec.new_decoder(), False
        if inside:
            self.damage = Damage(
                "truncated_file",
                f"the {codec.name} data ends without its end mark at stored byte {self.num_read:,}",
            )

    def _stored_pieces(self, codec: _Codec, held: bytes) -> Iterator[bytes]:
        while data := self._read(codec.piece_bytes):
            block = held + data
            held = block[-_TRAILER_BYTES:]
            yield block[: len(block) - len(held)]
        for index in range(len(held)):
            yield held[index : index + 1]

    def _read(self, size: int) -> bytes:
        try:
            data = self._raw.read(size)
        except Exception as error:  # every fsspec protocol has its own errors
            raise DumpError(
                f"{self.location}: reading failed after stored byte {self.num_read:,}: "
                f"{type(error).__name__}: {error}; run the same command again, finished parts are kept"
            ) from error
        self.num_read += len(data)
        return data


def _codec_of(location: str, head: bytes) -> _Codec | None:
    """Choose by the first bytes; a file that only claims to be compressed is decoded, and fails, as such."""
    for magic, codec in _MAGIC.items():
        if head.startswith(magic):
            return codec
    if head[1:4] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50:
        return _ZSTD
    return _BY_SUFFIX.get(Path(location).suffix.lower())
