"""Stored bytes -> decompressed bytes, with a gap where a member of the file is damaged.

    stored   | member 1 | mem#er 2 | member 3 |          # is a flipped bit
    decoded  | text of member 1 | start of 2 ‖ text of member 3 |
                                             ‖ damages[0].offset

What comes behind a fault is found by the magic number of the next member, in bzip2 by that of the next block.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.compression.bzip2_blocks import salvage
from tonsai_pipeline.storage.dumps.compression.codecs import BZIP2, Codec, codec_of

#: The last stored bytes are decoded one by one: a wrong checksum in a trailer then costs no text.
_TRAILER_BYTES = 64
_PLAIN_BYTES = 256 << 10
_STORED_BYTES = 16 << 10
#: Stored bytes that must decode before a place is taken as the start of a member.
_PROOF_BYTES = 32 << 10
_MAGIC_BYTES = 16
#: Text that a file may hold for each stored byte. Prose takes 3 to 6 times its stored size, the most repetitive logs 100;
#: a bomb of gzip 1,030, of bzip2 20,000. The first bytes are free: a small file does no harm.
MAX_EXPANSION = 300
FREE_BYTES = 256 << 20


@dataclass(frozen=True)
class Damage:
    """A gap in the decompressed bytes of a file, or their end before the file's end.

    Args:
        reason: As in `BadRow`.
        detail: What the decoder said, and at which stored byte.
        offset: Where the gap is, in decompressed bytes.
        is_gap: False for a wrong checksum behind bytes that are all there.
        lost_bytes: Stored bytes that could not be read, or whose checksum is wrong; None if the file ends too early.
    """

    reason: Literal["truncated_file", "corrupt_file"]
    detail: str
    offset: int
    is_gap: bool
    lost_bytes: int | None


def is_bomb(num_decoded: int, num_stored: int) -> bool:
    """Tell whether a file holds more than text of its stored size can be."""
    return num_decoded > FREE_BYTES and num_decoded > MAX_EXPANSION * num_stored


def say_bomb(num_decoded: int, num_stored: int) -> str:
    """Say why nothing more is read of such a file."""
    return (
        f"a decompression bomb: {num_decoded:,} bytes out of {num_stored:,}, more than {MAX_EXPANSION} for each; "
        "nothing more was read of it"
    )


@dataclass(frozen=True)
class _Failure:
    """A member that could not be decoded to its end.

    Args:
        message: What the decoder said; None if the file ended.
        history: Stored bytes of the member before the failure, the last ones of many.
        piece: Stored bytes from the failure on, as far as they were read.
    """

    message: str | None
    history: bytes
    piece: bytes


class Decoded(io.RawIOBase):
    """Raw stream of decompressed bytes, with gaps where the file is damaged.

    Args:
        location: The file.
        raw: Its stored bytes. A file in an archive has a `problem`, which says why its bytes ended before their end, and
            then `lost_bytes`.

    Attributes:
        damages: Gaps up to what was read, in order.
        num_stored: Stored bytes read so far.
        num_decoded: Decompressed bytes given so far.
    """

    def __init__(self, location: str, raw: BinaryIO) -> None:
        self.location = location
        self.damages: list[Damage] = []
        self.num_stored = 0
        self.num_decoded = 0
        self._raw = raw
        self._unread = b""  # stored bytes that were read ahead
        self._member_at = 0  # stored byte at which the current member begins
        self._pieces = self._decode()
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
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
                self.num_decoded += len(piece)
            taken = min(len(buffer) - filled, len(self._piece))
            buffer[filled : filled + taken] = self._piece[:taken]
            self._piece = self._piece[taken:]
            filled += taken
        return filled

    def _decode(self) -> Iterator[bytes]:
        head = self._read(16)
        codec = codec_of(self.location, head)
        if codec is None:
            yield head
            while data := self._read(_PLAIN_BYTES):
                yield data
        else:
            for data in self._decompress(codec, head):
                if is_bomb(self.num_decoded + len(data), self.num_stored):
                    detail = say_bomb(self.num_decoded, self.num_stored)
                    offset = self.num_decoded
                    self.damages.append(
                        Damage("corrupt_file", detail, offset, is_gap=True, lost_bytes=None)
                    )
                    return
                yield data
        if problem := getattr(self._raw, "problem", None):
            # A file in an archive whose bytes ended early.
            offset = self.num_decoded
            lost_bytes = cast("int | None", getattr(self._raw, "lost_bytes", None))
            damage = Damage("corrupt_file", problem, offset, is_gap=True, lost_bytes=lost_bytes)
            self.damages[:] = [*(one for one in self.damages if one.offset < offset), damage]

    def _decompress(self, codec: Codec, head: bytes) -> Iterator[bytes]:
        self._unread = head
        if not head:
            detail = f"an empty file is not a {codec.name} file"
            self.damages.append(Damage("truncated_file", detail, 0, is_gap=True, lost_bytes=None))
        while self._skip_padding():
            failure = yield from self._decode_member(codec)
            if failure is None:
                continue
            if codec is BZIP2 and failure.message is not None:
                yield from self._salvage_blocks(failure)
            else:
                self._go_on_behind(failure, codec)

    def _skip_padding(self) -> bool:
        """Step over zeros between members, as tape and block writers leave them; False at the end."""
        while True:
            self._unread = self._unread.lstrip(b"\0")
            if self._unread:
                return True
            self._unread = self._read(_TRAILER_BYTES)
            if not self._unread:
                return False

    def _decode_member(self, codec: Codec) -> Generator[bytes, None, _Failure | None]:
        """Yield the bytes of one member; return why it has no end, or None."""
        decoder = codec.new_decoder()
        self._member_at = self.num_stored - len(self._unread)
        history: deque[bytes] = deque()
        num_held = 0
        for piece in self._stored_pieces(codec.piece_bytes):
            backup = decoder.copy() if hasattr(decoder, "copy") else None
            before = self.num_decoded
            try:
                for data in codec.feed(decoder, piece):
                    yield data
                    if data and codec is BZIP2:
                        # Blocks are decoded one by one: those before this piece are done with.
                        history.clear()
                        num_held = 0
            except codec.errors as error:
                place = 0
                if backup is not None:
                    num_given = self.num_decoded - before
                    place = yield from _feed_singly(codec, backup, piece, num_given)
                return _Failure(str(error), b"".join(history) + piece[:place], piece[place:])
            if decoder.eof:
                self._unread = decoder.unused_data + self._unread
                return None
            history.append(piece)
            num_held += len(piece)
            while num_held > codec.history_bytes:
                num_held -= len(history.popleft())
        return _Failure(None, b"".join(history), b"")

    def _stored_pieces(self, piece_bytes: int) -> Iterator[bytes]:
        """Yield stored bytes; whoever stops in the middle finds the rest in `_unread`."""
        while True:
            if len(self._unread) < piece_bytes + _TRAILER_BYTES:
                self._unread += self._read(max(_STORED_BYTES, piece_bytes))
            if not self._unread:
                return
            num_bytes = min(piece_bytes, len(self._unread) - _TRAILER_BYTES)
            # Fewer are left than a trailer may take: one by one.
            num_bytes = max(num_bytes, 1)
            piece, self._unread = self._unread[:num_bytes], self._unread[num_bytes:]
            yield piece

    def _go_on_behind(self, failure: _Failure, codec: Codec) -> None:
        """Find the next member that can be decoded, and note what lies between."""
        held = failure.history + failure.piece + self._unread
        first = self.num_stored - len(held)  # stored byte that `held` begins with
        failed_at = first + len(failure.history)
        position = 1  # the failed member itself begins at 0
        found = False
        while not found:
            match = codec.magic.search(held, position)
            if match is None:
                more = self._read(_STORED_BYTES)
                if not more:
                    break
                # A magic number may lie across the border.
                cut = max(0, len(held) - _MAGIC_BYTES)
                held, first, position = held[cut:] + more, first + cut, max(position - cut, 0)
                continue
            while len(held) < match.start() + _PROOF_BYTES and (more := self._read(_STORED_BYTES)):
                held += more
            found = codec.starts(held[match.start() : match.start() + _PROOF_BYTES])
            position = match.start() + (not found)
        self._unread = held[position:] if found else b""
        self._note(failure, codec, failed_at, found=found)

    def _salvage_blocks(self, failure: _Failure) -> Iterator[bytes]:
        """Yield the blocks behind a fault in a bzip2 stream, with a gap where one is lost."""
        failed_at = self.num_stored - len(self._unread) - len(failure.piece)
        held, self._unread = failure.history + failure.piece + self._unread, b""
        blocks = salvage(held, self._read)
        num_before = len(self.damages)
        while True:
            try:
                block = next(blocks)
            except StopIteration as end:
                self._unread = end.value
                if len(self.damages) == num_before:
                    # Every block is whole: what is wrong is the checksum of them all.
                    detail = f"bzip2: {failure.message}, near stored byte {failed_at:,}"
                    offset = self.num_decoded
                    self.damages.append(
                        Damage("corrupt_file", detail, offset, is_gap=False, lost_bytes=0)
                    )
                return
            if isinstance(block, bytes):
                yield block
                continue
            detail = (
                f"bzip2: {failure.message}, near stored byte {failed_at:,}; {block:,} bytes skipped"
            )
            damage = Damage("corrupt_file", detail, self.num_decoded, is_gap=True, lost_bytes=block)
            self.damages.append(damage)

    def _note(self, failure: _Failure, codec: Codec, failed_at: int, *, found: bool) -> None:
        """Remember the gap that ends at the next unread byte."""
        message = failure.message
        next_at = self.num_stored - len(self._unread)
        lost_bytes = max(0, next_at - failed_at)
        if message is None and not found:
            detail = f"the {codec.name} data ends without its end mark at stored byte {failed_at:,}"
            damage = Damage(
                "truncated_file", detail, self.num_decoded, is_gap=True, lost_bytes=None
            )
        else:
            detail = f"{codec.name}: {message or 'no end mark'}, near stored byte {failed_at:,}"
            # A wrong checksum is noticed behind the last byte: what it covers was decoded whole, unless the
            # decoder ran into the next member.
            is_gap = "check" not in (message or "") or next_at < failed_at
            what = f"{lost_bytes:,} bytes skipped"
            if not is_gap:
                lost_bytes = failed_at - self._member_at
                what = f"the text of {lost_bytes:,} bytes before it may be altered"
            damage = Damage(
                "corrupt_file", f"{detail}; {what}", self.num_decoded, is_gap, lost_bytes
            )
        self.damages.append(damage)

    def _read(self, size: int) -> bytes:
        try:
            data = self._raw.read(size)
        except Exception as error:  # every fsspec protocol has its own errors
            raise DumpError(
                f"{self.location}: reading failed after stored byte {self.num_stored:,}: "
                f"{type(error).__name__}: {error}; run the same command again, finished parts are kept"
            ) from error
        self.num_stored += len(data)
        return data


def _feed_singly(
    codec: Codec, decoder: Any, piece: bytes, num_given: int
) -> Generator[bytes, None, int]:
    """Yield what a piece holds before the byte it fails at, but for the `num_given` first bytes.

    Returns:
        The place of that byte in the piece.
    """
    for index in range(len(piece)):
        try:
            for data in codec.feed(decoder, piece[index : index + 1]):
                yield data[num_given:]
                num_given = max(0, num_given - len(data))
        except codec.errors:
            return index
    return len(piece)
