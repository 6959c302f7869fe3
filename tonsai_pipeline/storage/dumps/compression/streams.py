"""Location -> decompressed bytes, as far as the file is whole.

    local path | fsspec URL ──open_stream──▶ ByteStream     reads like a file; `damages` says where it has gaps

A truncated or corrupt file is not an error here: its bytes have a gap, or end, and `damages` tells where and
why (`decoded.py`). So every reader keeps what came before and after, and none needs to know about compression.

A file that cannot be opened, or a disk or network that fails while reading, is an error: that text still
exists.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.compression.decoded import Damage, Decoded
from tonsai_pipeline.storage.dumps.records import BadRow, excerpt
from tonsai_pipeline.storage.file_systems import open_system, reason_of

_BUFFER_BYTES = 256 << 10


class ByteStream(io.BufferedReader):
    """The decompressed bytes of a file.

    Attributes:
        location: The file.
        damages: Gaps up to what was read, in order; final once a read has returned nothing.
    """

    def __init__(self, raw: Decoded) -> None:
        super().__init__(raw, _BUFFER_BYTES)
        self._decoded = raw
        self.location = raw.location
        self.damages = raw.damages

    def stored_bytes(self, num_bytes: int) -> int:
        """Estimate how many stored bytes a stretch of decompressed bytes took."""
        stored, decoded = self._decoded.num_stored, self._decoded.num_decoded
        return round(num_bytes * stored / decoded) if decoded else 0

    @property
    def num_decoded(self) -> int:
        """Decompressed bytes so far; some of them may wait in the buffer."""
        return self._decoded.num_decoded

    @property
    def num_stored(self) -> int:
        """Stored bytes that were read so far."""
        return self._decoded.num_stored


@contextmanager
def open_stream(location: str) -> Iterator[ByteStream]:
    """Open a file and decompress it by what its first bytes say it is.

    Args:
        location: A path, or any fsspec URL.

    Raises:
        DumpError: The file cannot be opened, or the device or network fails while it is read.
    """
    with open_raw(location) as raw, ByteStream(Decoded(location, raw)) as stream:
        yield stream


def open_member(name: str, raw: Any) -> ByteStream:
    """Decompress a file in an archive.

    Args:
        name: Its path in the archive.
        raw: Gives stored bytes with `read(size)`; its `problem` says why they ended, None at their end, and its
            `lost_bytes` how many are lost then.
    """
    return ByteStream(Decoded(name, raw))


@contextmanager
def open_raw(location: str) -> Iterator[BinaryIO]:
    """Open the stored bytes of a file, seekable where the place allows.

    Raises:
        DumpError: The file cannot be opened; the message says why.
    """
    try:
        if is_url(location):
            system, path = open_system(location)
            raw = cast("BinaryIO", system.open(path, "rb"))
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
        raise DumpError(f"{location}: cannot be opened: {reason_of(error, location)}") from error
    with raw:
        yield raw


def is_url(location: str) -> bool:
    """Tell an fsspec URL from a path."""
    return "://" in location


def bad_of(damage: Damage, *, row: int, byte_offset: int | None, fragment: bytes = b"") -> BadRow:
    """Return the bad row that stands for what a gap in a file took.

    Args:
        damage: The gap.
        row: Index of the first record that is lost.
        byte_offset: Where that record begins, in decompressed bytes.
        fragment: The part of that record that was still there.
    """
    return BadRow(
        row,
        byte_offset,
        damage.reason,
        damage.detail,
        excerpt(fragment),
        lost_bytes=damage.lost_bytes,
    )
