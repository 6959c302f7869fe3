"""Packed rows <-> a folder of memory-mapped shards: fixed rows of token ids, and who is who in them.

    RowBlock, RowBlock, ... ──RowWriter──▶ train/index.json        what it is, sizes, digests; written last
                                           train/shard-00000.bin   little-endian ids, (num_rows, seq_len)
                                           train/row_offsets.npy   (num_rows + 1,) int64: row -> its segments
                                           train/segments.npy      (num_segments,) `SEGMENT` records
    train/ ──RowReader.row(i)──▶ Row       in O(1), whatever the number of processes that read

A row is one or more *segments* (a whole document, or a fragment of one longer than a row), then padding.
Tokens predict tokens of their own segment only, and padding is never predicted. The order of rows in
`train/` is the training order.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from tonsai_pipeline.errors import DataError, StorageError
from tonsai_pipeline.storage.files import atomic_path, digest_file
from tonsai_pipeline.storage.rows import (
    INDEX_NAME,
    LEARNED_NAME,
    OFFSETS_NAME,
    SEGMENT,
    SEGMENTS_NAME,
    Row,
    RowBlock,
    RowsHeader,
    ShardEntry,
    check_block,
    header_of,
    id_dtype,
    read_index,
    write_index,
)

__all__ = [
    "SEGMENT",
    "Row",
    "RowBlock",
    "RowReader",
    "RowWriter",
    "RowsHeader",
    "ShardEntry",
    "ShardWriter",
    "finish_rows",
    "id_dtype",
]

#: Folder of the shards' own tables; hidden, so that an interrupted split never shows it as a result.
_SIDE_TABLES = ".tables"
#: Rows of a shard, by default: 256 MB of uint16 at 2,048 tokens a row.
DEFAULT_SHARD_ROWS = 65_536


class RowReader:
    """Random access to the rows of one split.

    Opening reads the index and the sizes of files; rows are read from the memory map, so any number of
    processes share one copy in the page cache. A reader may be pickled: it opens again on the other side.

    Args:
        folder: A split, for example `packed_shards/train`.
        tokenizer_digest: Refuse rows of another tokenizer; None accepts any.

    Raises:
        DataError: Not a folder of rows, another version, another tokenizer, or a file of a wrong size; the
            message names the file and the way out.
    """

    def __init__(self, folder: Path, *, tokenizer_digest: str | None = None) -> None:
        self.folder = Path(folder)
        self._expected = tokenizer_digest
        index = read_index(self.folder)
        self.header = header_of(index, self.folder)
        if tokenizer_digest not in (None, self.header.tokenizer_digest):
            raise DataError(
                f"{self.folder}: packed with tokenizer {self.header.tokenizer_digest[:16]}, but "
                f"{str(tokenizer_digest)[:16]} is in use; pack again with this tokenizer, or use the other"
            )
        self.seq_len = self.header.seq_len
        self.vocab_size = self.header.vocab_size
        self.pad_id = self.header.pad_id
        self.bos_id = self.header.bos_id
        self.eos_id = self.header.eos_id
        self.sources = self.header.sources
        self.languages = self.header.languages
        self.tokenizer_digest = self.header.tokenizer_digest
        self.num_rows: int = index["num_rows"]
        self.num_tokens: int = index["num_tokens"]
        self.num_segments: int = index["num_segments"]
        self._digests: dict[str, str] = {}
        self._check_files(index)
        self._offsets = _open_table(self.folder / OFFSETS_NAME, np.dtype("<i8"), self.num_rows + 1)
        self._segments = _open_table(self.folder / SEGMENTS_NAME, SEGMENT, self.num_segments)
        self._shards: list[np.ndarray | None] = [None] * len(self._files)
        self._learned = self._open_learned()

    @property
    def says_what_is_learned(self) -> bool:
        """Whether only some tokens are learned, as in instruction tuning."""
        return self._learned is not None

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids of the tokenizer's markers: bos, eos, pad."""
        return {"bos": self.bos_id, "eos": self.eos_id, "pad": self.pad_id}

    def __len__(self) -> int:
        return self.num_rows

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.folder, self._expected)

    def row(self, index: int) -> Row:
        """Return row `index`, 0 <= index < num_rows.

        Raises:
            IndexError: There is no such row.
        """
        if not 0 <= index < self.num_rows:
            raise IndexError(f"row {index} of {self.num_rows}")
        ids = self._ids(index).astype(np.int64)
        segments = self._segments[self._offsets[index] : self._offsets[index + 1]]
        borders = np.zeros(len(segments) + 1, dtype=np.int32)
        np.cumsum(segments["num_tokens"], out=borders[1:])
        learned = None if self._learned is None else np.array(self._learned[index])
        return Row(ids, borders, segments["source"].copy(), segments["num_bytes"].copy(), learned)

    def block(self, start: int, stop: int) -> RowBlock:
        """Return rows `start` to `stop` as one block, for statistics and exports."""
        ids = np.empty((max(0, stop - start), self.seq_len), self.header.dtype)
        for place, index in enumerate(range(start, stop)):
            ids[place] = self._ids(index)
        offsets = np.asarray(self._offsets[start : stop + 1])
        return RowBlock(ids, np.diff(offsets), np.array(self._segments[offsets[0] : offsets[-1]]))

    def verify(self) -> None:
        """Hash every file again.

        Raises:
            DataError: A file's bytes are not those that were written; the message names it.
        """
        for name, digest in self._digests.items():
            if digest_file(self.folder / name) != digest:
                raise DataError(
                    f"{self.folder / name}: damaged: its SHA-256 is not the one in {INDEX_NAME}; "
                    "copy it again, or run pack again"
                )

    def _open_learned(self) -> np.ndarray | None:
        path = self.folder / LEARNED_NAME
        if not path.is_file():
            return None
        found = np.load(path, mmap_mode="r" if self.num_rows else None, allow_pickle=False)
        if found.dtype != np.bool_ or found.shape != (self.num_rows, self.seq_len):
            raise DataError(f"{path}: holds {found.shape} {found.dtype}: not of these rows")
        return found

    def _ids(self, index: int) -> np.ndarray:
        shard = int(np.searchsorted(self._first_rows, index, side="right")) - 1
        return self._shard(shard)[index - self._first_rows[shard]]

    def _shard(self, number: int) -> np.ndarray:
        opened = self._shards[number]
        if opened is None:
            name, num_rows = self._files[number]
            shape = (num_rows, self.seq_len)
            opened = np.memmap(self.folder / name, dtype=self.header.dtype, mode="r", shape=shape)
            self._shards[number] = opened
        return opened

    def _check_files(self, index: Mapping[str, Any]) -> None:
        self._files = [(str(shard["file"]), int(shard["num_rows"])) for shard in index["shards"]]
        self._digests = {shard["file"]: shard["sha256"] for shard in index["shards"]}
        self._digests |= dict(index["tables"])
        counts = [num_rows for _, num_rows in self._files]
        self._first_rows = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if self._first_rows[-1] != self.num_rows:
            raise DataError(
                f"{self.folder / INDEX_NAME}: num_rows is {self.num_rows}, its shards hold "
                f"{self._first_rows[-1]}; run pack again"
            )
        for name, num_rows in self._files:
            size = num_rows * self.seq_len * self.header.dtype.itemsize
            _check_size(self.folder / name, size)


class RowWriter:
    """Write rows of one split one block after the other, in bounded memory.

    Args:
        folder: Where to; made if missing.
        header: What the rows have in common.
        shard_rows: Rows of a shard file.

    Example:
        >>> import tempfile
        >>> header = RowsHeader(4, 128, 0, 1, 2, "t", ("news",), ("khm",))
        >>> block = RowBlock(
        ...     np.array([[1, 7, 2, 0]]), np.array([1]), np.array([(3, 0, 9)], dtype=SEGMENT)
        ... )
        >>> folder = Path(tempfile.mkdtemp())
        >>> with RowWriter(folder, header) as writer:
        ...     writer.append(block)
        >>> RowReader(folder).row(0).cu_seqlens.tolist()
        [0, 3]
    """

    def __init__(
        self, folder: Path, header: RowsHeader, *, shard_rows: int = DEFAULT_SHARD_ROWS
    ) -> None:
        self._folder = folder
        self._header = header
        self._shard_rows = shard_rows
        self._entries: list[ShardEntry] = []
        self._open: ShardWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._open is not None:
            self._open.abandon()

    def append(self, block: RowBlock) -> None:
        """Add rows.

        Raises:
            ValueError: Shapes do not fit together or the header; see `ShardWriter.append`.
        """
        start = 0
        while start < len(block.input_ids):
            if self._open is None:
                self._open = ShardWriter(self._folder, len(self._entries), self._header)
            stop = min(len(block.input_ids), start + self._shard_rows - self._open.num_rows)
            first, last = block.num_segments[:start].sum(), block.num_segments[:stop].sum()
            self._open.append(
                RowBlock(
                    block.input_ids[start:stop],
                    block.num_segments[start:stop],
                    block.segments[first:last],
                )
            )
            if self._open.num_rows == self._shard_rows:
                self._finish_shard()
            start = stop

    def close(self) -> None:
        """Write what is left, then the tables, then the index."""
        self._finish_shard()
        finish_rows(self._folder, self._header, self._entries)

    def _finish_shard(self) -> None:
        if self._open is not None:
            self._entries.append(self._open.close())
            self._open = None


class ShardWriter:
    """Write one shard file, and beside it the table of its segments, which `finish_rows` gathers.

    Shards are independent: workers may write them side by side.
    """

    def __init__(self, folder: Path, number: int, header: RowsHeader) -> None:
        self.num_rows = 0
        self._header = header
        self._num_tokens = 0
        self._num_segments = 0
        self._name = f"shard-{number:05d}.bin"
        self._hasher = hashlib.sha256()
        self._files = ExitStack()
        self._ids = self._open(folder / self._name)
        self._table = self._open(_side_table(folder, self._name, "segments"))
        self._counts = self._open(_side_table(folder, self._name, "counts"))

    def append(self, block: RowBlock) -> None:
        """Add rows.

        Raises:
            ValueError: Not `seq_len` ids a row, an id outside the vocabulary, a row whose segments hold more
                tokens than it, or a segment of a source that the header does not name.
        """
        check_block(block, self._header)
        data = np.ascontiguousarray(block.input_ids, dtype=self._header.dtype).tobytes()
        self._hasher.update(data)
        self._ids.write(data)
        self._table.write(np.ascontiguousarray(block.segments, dtype=SEGMENT).tobytes())
        self._counts.write(np.ascontiguousarray(block.num_segments, dtype="<i8").tobytes())
        self.num_rows += len(block.input_ids)
        self._num_segments += len(block.segments)
        self._num_tokens += int(block.segments["num_tokens"].sum())

    def close(self) -> ShardEntry:
        """Put the files in place."""
        self._files.close()
        digest = self._hasher.hexdigest()
        return ShardEntry(self._name, self.num_rows, self._num_tokens, self._num_segments, digest)

    def abandon(self) -> None:
        """Remove what was written so far."""
        error = StorageError("abandoned")
        self._files.__exit__(StorageError, error, None)

    def _open(self, path: Path) -> BinaryIO:
        temporary = self._files.enter_context(atomic_path(path))
        return self._files.enter_context(temporary.open("wb"))


def finish_rows(folder: Path, header: RowsHeader, entries: Sequence[ShardEntry]) -> None:
    """Gather the segment tables of finished shards and write the index; then the folder is complete.

    May be called again for the same shards after it was interrupted.
    """
    if not _is_finished(folder, header, entries):
        num_segments = sum(entry.num_segments for entry in entries)
        with atomic_path(folder / SEGMENTS_NAME) as temporary, temporary.open("wb") as stream:
            _write_npy_header(stream, SEGMENT, num_segments)
            for entry in entries:
                stream.write(_side_table(folder, entry.file, "segments").read_bytes())
        _write_offsets(folder, entries)
        write_index(folder, header, entries)
    shutil.rmtree(folder / _SIDE_TABLES, ignore_errors=True)
    for leftover in folder.glob(".tmp-*"):
        leftover.unlink()


def _open_table(path: Path, dtype: np.dtype, length: int) -> np.ndarray:
    try:
        table = np.load(path, mmap_mode="r" if length else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not readable: {error}; copy it again, or run pack again"
        ) from error
    if table.dtype != dtype or table.shape != (length,):
        raise DataError(
            f"{path}: holds {table.shape} {table.dtype}, the index says ({length},); run pack again"
        )
    return table


def _check_size(path: Path, size: int) -> None:
    found = path.stat().st_size if path.is_file() else None
    if found != size:
        what = "is missing" if found is None else f"has {found} bytes"
        raise DataError(f"{path}: {what}, the index says {size}; copy it again, or run pack again")


def _is_finished(folder: Path, header: RowsHeader, entries: Sequence[ShardEntry]) -> bool:
    if not (folder / INDEX_NAME).is_file():
        return False
    index = read_index(folder)
    digests = [shard["sha256"] for shard in index["shards"]]
    return header_of(index, folder) == header and digests == [entry.sha256 for entry in entries]


def _write_offsets(folder: Path, entries: Sequence[ShardEntry]) -> None:
    with atomic_path(folder / OFFSETS_NAME) as temporary, temporary.open("wb") as stream:
        _write_npy_header(stream, np.dtype("<i8"), 1 + sum(entry.num_rows for entry in entries))
        stream.write(np.zeros(1, dtype="<i8").tobytes())
        first = 0
        for entry in entries:
            counts = np.fromfile(_side_table(folder, entry.file, "counts"), dtype="<i8")
            stream.write((first + np.cumsum(counts)).astype("<i8").tobytes())
            first += int(counts.sum())


def _side_table(folder: Path, name: str, kind: str) -> Path:
    return folder / _SIDE_TABLES / f"{name}.{kind}"


def _write_npy_header(stream: BinaryIO, dtype: np.dtype, length: int) -> None:
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(
        stream, {"descr": description, "fortran_order": False, "shape": (length,)}
    )


def _reopen(folder: Path, tokenizer_digest: str | None) -> RowReader:
    return RowReader(folder, tokenizer_digest=tokenizer_digest)
