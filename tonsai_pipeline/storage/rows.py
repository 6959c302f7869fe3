"""What packed rows are: their header, their records, and the index that describes a folder of them.

RowsHeader + shard entries ──write_index──▶ index.json ──read_index──▶ the same, checked
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.errors import DataError, StorageError
from tonsai_pipeline.storage.files import digest_file, read_json, write_json

INDEX_NAME = "index.json"
OFFSETS_NAME = "row_offsets.npy"
SEGMENTS_NAME = "segments.npy"
#: (num_rows, seq_len) bool: the tokens that are learned. Missing: all of them, as in pretraining.
LEARNED_NAME = "learned.npy"
FORMAT = "tonsai-rows"
VERSION = 1

#: One segment: its tokens; its source (index into `sources`); UTF-8 bytes of the text of its *predicted*
#: tokens. A fragment that does not begin with BOS never predicts its first token, so that token's bytes are
#: not counted, and bits per byte = sum(nll) / (ln 2 * sum(num_bytes)) is exact.
SEGMENT = np.dtype([("num_tokens", "<i4"), ("source", "<u2"), ("num_bytes", "<i4")])


@dataclass(frozen=True)
class RowsHeader:
    """What every row of a folder has in common.

    Args:
        seq_len: Tokens of a row, padding included.
        vocab_size: Rows the model's embedding needs (padded).
        pad_id: Fills the end of a row; never a target.
        bos_id: First token of every document.
        eos_id: Last token of every document.
        tokenizer_digest: Names the tokenizer; a reader that expects another one refuses.
        sources: Names; `source` of a segment indexes them.
        languages: Language of each source.
    """

    seq_len: int
    vocab_size: int
    pad_id: int
    bos_id: int
    eos_id: int
    tokenizer_digest: str
    sources: tuple[str, ...]
    languages: tuple[str, ...]

    @property
    def dtype(self) -> np.dtype:
        """The smallest type that holds every id of the vocabulary."""
        return id_dtype(self.vocab_size)


class RowBlock(NamedTuple):
    """Some consecutive rows.

    `input_ids` (n, seq_len); `num_segments` (n,), segments of each row; `segments`, `SEGMENT` records of all
    rows end to end.
    """

    input_ids: npt.NDArray[np.integer]
    num_segments: npt.NDArray[np.int64]
    segments: npt.NDArray[np.void]


class Row(NamedTuple):
    """One packed row.

    `input_ids` (seq_len,) int64, padded; `cu_seqlens` (num_segments + 1,) int32, from 0 to the token count
    before padding; `sources` (num_segments,) uint16; `num_bytes` (num_segments,) int32, of what is learned;
    `learned` (seq_len,) bool, the tokens that are predicted and learned, None: all.
    """

    input_ids: npt.NDArray[np.int64]
    cu_seqlens: npt.NDArray[np.int32]
    sources: npt.NDArray[np.uint16]
    num_bytes: npt.NDArray[np.int32]
    learned: npt.NDArray[np.bool_] | None = None


class ShardEntry(NamedTuple):
    """One finished shard file."""

    file: str
    num_rows: int
    num_tokens: int
    num_segments: int
    sha256: str


def id_dtype(vocab_size: int) -> np.dtype:
    """Return `uint16` for vocabularies of up to 65,536 ids, `uint32` beyond, both little-endian."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


def check_block(block: RowBlock, header: RowsHeader) -> None:
    """Check that rows fit the header.

    Raises:
        ValueError: See `ShardWriter.append`.
    """
    ids, counts, segments = block
    if ids.ndim != 2 or ids.shape[1] != header.seq_len:
        raise ValueError(f"rows of shape {ids.shape}, expected (n, {header.seq_len})")
    if len(counts) != len(ids) or int(counts.sum()) != len(segments) or (counts < 1).any():
        raise ValueError(
            f"{len(counts)} counts of {int(counts.sum())} segments do not fit "
            f"{len(ids)} rows with {len(segments)} segments"
        )
    if len(ids) == 0:
        return
    if int(ids.max()) >= header.vocab_size or int(ids.min()) < 0:
        raise ValueError(f"id {int(ids.max())} is outside the vocabulary of {header.vocab_size}")
    if int(segments["source"].max()) >= len(header.sources):
        raise ValueError(f"source {int(segments['source'].max())} is not one of {header.sources}")
    starts = np.cumsum(counts) - counts
    filled = np.add.reduceat(segments["num_tokens"].astype(np.int64), starts)
    if int(filled.max()) > header.seq_len or int(segments["num_tokens"].min()) < 1:
        raise ValueError(f"a row of {header.seq_len} tokens has segments of {int(filled.max())}")


def write_index(folder: Path, header: RowsHeader, entries: Sequence[ShardEntry]) -> None:
    """Write `index.json`; the tables must be in place."""
    write_json(
        folder / INDEX_NAME,
        {
            "format": FORMAT,
            "version": VERSION,
            "dtype": header.dtype.name,
            **asdict(header),
            "num_rows": sum(entry.num_rows for entry in entries),
            "num_tokens": sum(entry.num_tokens for entry in entries),
            "num_segments": sum(entry.num_segments for entry in entries),
            "shards": [
                {"file": entry.file, "num_rows": entry.num_rows, "sha256": entry.sha256}
                for entry in entries
            ],
            "tables": {name: digest_file(folder / name) for name in (OFFSETS_NAME, SEGMENTS_NAME)},
        },
    )


def read_index(folder: Path) -> dict[str, Any]:
    """Read `index.json`.

    Raises:
        DataError: It is missing, damaged, of another format or another version.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        raise DataError(
            f"{folder}: no {INDEX_NAME}: not a split of packed_shards, or pack did not finish"
        )
    try:
        index = read_json(path)
    except StorageError as error:
        raise DataError(f"{path}: damaged: {error}; run pack again") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise DataError(f"{path}: not an index of packed rows (format is not '{FORMAT}')")
    if index.get("version") != VERSION:
        raise DataError(
            f"{path}: version {index.get('version')!r}, this program reads version {VERSION}; pack again "
            "with this program, or use the one that wrote it"
        )
    return cast("dict[str, Any]", index)


def header_of(index: Mapping[str, Any], folder: Path) -> RowsHeader:
    """Return the header part of an index.

    Raises:
        DataError: A key is missing, or the type of the ids does not fit the vocabulary.
    """
    try:
        values = {field.name: index[field.name] for field in fields(RowsHeader)}
        tables, dtype = index["tables"], index["dtype"]
    except KeyError as error:
        raise DataError(f"{folder / INDEX_NAME}: lacks {error}; run pack again") from error
    values |= {name: tuple(values[name]) for name in ("sources", "languages")}
    header = RowsHeader(**values)
    if header.dtype.name != dtype or set(tables) != {OFFSETS_NAME, SEGMENTS_NAME}:
        raise DataError(
            f"{folder / INDEX_NAME}: dtype {dtype} or tables do not fit; run pack again"
        )
    return header
