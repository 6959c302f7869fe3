"""A `.zip` or `.tar` -> the records of the files in it, one file after another; nothing is unpacked to disk.

    a.tar.gz: km/1.txt, km/2.jsonl ──read_archive──▶ RawRecord | BadRow       `row` = member x 2^32 + row in it

So a row follows from the member and its place in it, and a resumed run skips whole members. The member's name is
in `meta`. Archives in archives are not opened.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO

import orjson

from tonsai_pipeline.storage.dumps.compression.decoded import is_bomb, say_bomb
from tonsai_pipeline.storage.dumps.compression.streams import (
    ByteStream,
    bad_of,
    open_member,
    open_raw,
    open_stream,
)
from tonsai_pipeline.storage.dumps.records import BadRow, RawRecord, ReadOptions

#: Rows of one member at most: the rows of the next begin behind them.
MEMBER_ROWS = 1 << 32
_SKIP_BYTES = 1 << 20
#: Kinds of tar members that are read whole into memory, and how large they may be.
_TAR_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_MAX_HEADER_BYTES = 1 << 20
#: A tar archive ends with blocks of zeros.
_END_BYTES = 512

#: Reads the opened member of that name.
MemberReader = Callable[[ByteStream, str, ReadOptions], Iterator[RawRecord | BadRow]]


def read_zip(
    location: str, options: ReadOptions, read_member: MemberReader
) -> Iterator[RawRecord | BadRow]:
    """Read the files of a zip archive.

    Raises:
        DumpError: The file cannot be opened.
    """
    with open_raw(location) as raw:
        num_bytes, num_decoded = raw.seek(0, 2), 0
        try:
            archive = zipfile.ZipFile(raw)
            infos = archive.infolist()
        except Exception as error:  # noqa: BLE001 (a damaged index raises whatever its bytes happen to mean)
            detail = f"{error}; a zip file keeps its index at the end: copy the file again"
            yield BadRow(0, None, "corrupt_file", detail, "", lost_bytes=num_bytes or None)
            return
        for index, info in enumerate(infos):
            if not info.filename.endswith("/"):
                open_file = partial(archive.open, info)
                stored = info.compress_size
                member = _Member(info.filename, info.file_size, open_file, stored_bytes=stored)
                # Members may share stored bytes: what counts is the file.
                member.limit_to(num_decoded, num_bytes)
                yield from _read_member(member, index, options, read_member, stored)
                num_decoded += member.num_read


def read_tar(
    location: str, options: ReadOptions, read_member: MemberReader
) -> Iterator[RawRecord | BadRow]:
    """Read the files of a tar archive, compressed or not, from its beginning to its end.

    Raises:
        DumpError: The file cannot be opened.
    """
    with open_stream(location) as stream:
        index, position, problem = -1, 0, None
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarMember) as archive:
                for index, info in enumerate(archive):
                    if info.issparse():
                        # A few bytes of header may stand for any number of zeros.
                        detail = f"{info.name}: a sparse file is not read"
                        yield BadRow(index * MEMBER_ROWS, None, "corrupt_file", detail, "")
                    elif info.isfile():
                        open_file = partial(archive.extractfile, info)
                        member = _Member(info.name, info.size, open_file, stream=stream)
                        yield from _read_member(member, index, options, read_member, info.size)
                    position = archive.offset
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            problem = error
        while stream.read(_SKIP_BYTES):
            pass
        row = (index + 1) * MEMBER_ROWS
        for damage in stream.damages:
            yield bad_of(damage, row=row, byte_offset=damage.offset)
        rest = stream.num_decoded - position
        is_cut = rest < _END_BYTES
        if (problem is not None or is_cut) and not stream.damages:
            lost = None if is_cut else stream.stored_bytes(rest)
            reason = "truncated_file" if is_cut else "corrupt_file"
            detail = (
                f"{problem or 'no end mark'}; {rest:,} bytes behind the last file were not read"
            )
            yield BadRow(row, position, reason, detail, "", lost_bytes=lost)


class _TarMember(tarfile.TarInfo):
    """A header of a tar archive; one that says its own name or fields take more than a megabyte is refused."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _TAR_HEADERS and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # pyright: ignore[reportAttributeAccessIssue]


class _Member:
    """A file in an archive as a raw file: what goes wrong inside ends it, and is told by `problem`.

    Attributes:
        name: Its path in the archive.
        problem: Why it ended early.
        lost_bytes: Stored bytes that are lost if there is a problem; None if nobody can know.
    """

    def __init__(
        self,
        name: str,
        num_bytes: int,
        open_file: Callable[[], IO[bytes] | None],
        *,
        stream: ByteStream | None = None,
        stored_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.problem: str | None = None
        self.lost_bytes = stored_bytes
        self.num_read = 0
        self._before, self._archive_bytes = 0, 0
        self._left = num_bytes
        self._open = open_file
        self._file: IO[bytes] | None = None
        self._stream = stream
        self._num_damages = len(stream.damages) if stream else 0

    def limit_to(self, num_before: int, archive_bytes: int) -> None:
        """Stop where an archive of that size has given too much, members before this one included."""
        self._before, self._archive_bytes = num_before, archive_bytes

    def read(self, size: int) -> bytes:
        """Return the next bytes; none at the end, or where the archive is damaged."""
        if self.problem is not None:
            return b""
        try:
            self._file = self._file or self._open()
            data = self._file.read(size) if self._file else b""
        # Wrong checksums, passwords, unknown compressions: each library has its own errors.
        except Exception as error:  # noqa: BLE001
            self.problem = f"{type(error).__name__}: {error}"
            return b""
        self._left -= len(data)
        self.num_read += len(data)
        num_decoded = self._before + self.num_read
        if self._archive_bytes and is_bomb(num_decoded, self._archive_bytes):
            self.problem, self.lost_bytes = say_bomb(num_decoded, self._archive_bytes), None
            return b""
        if self._stream is not None and len(self._stream.damages) > self._num_damages:
            self.problem = self._stream.damages[-1].detail
            return b""
        if not data and size and self._left > 0:
            self.problem = f"{self._left:,} bytes are missing at its end"
        return data


def _read_member(
    member: _Member,
    index: int,
    options: ReadOptions,
    read_member: MemberReader,
    stored_bytes: int,
) -> Iterator[RawRecord | BadRow]:
    """Yield the records of one member that begin behind `start_row`."""
    base = index * MEMBER_ROWS
    path = PurePosixPath(member.name)
    if base + MEMBER_ROWS <= options.start_row or _is_hidden(path):
        return
    inner = replace(options, start_row=max(0, options.start_row - base))
    name = orjson.dumps(member.name.encode("utf-8", "replace").decode()).decode()
    with open_member(member.name, member) as stream:
        for record in read_member(stream, member.name, inner):
            if isinstance(record, RawRecord):
                others = f"{record.meta[:-1]}," if record.meta else "{"
                meta = f'{others}"archive_member":{name}}}'
                yield record._replace(row=base + record.row, meta=meta)
            else:
                lost = record.lost_bytes
                yield record._replace(
                    row=base + record.row,
                    detail=f"{member.name}: {record.detail}",
                    lost_bytes=None if lost is None else min(lost, stored_bytes),
                )


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in path.parts) or (
        path.parts[:1] == ("__MACOSX",)
    )


@contextmanager
def on_disk(stream: ByteStream) -> Iterator[str]:
    """Copy a member to a temporary file, for formats that are read from their end."""
    with tempfile.NamedTemporaryFile(prefix="tonsai-member-") as file:
        shutil.copyfileobj(stream, file, _SKIP_BYTES)
        file.flush()
        yield file.name
