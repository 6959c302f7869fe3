"""Packed rows -> the formats of other trainers: Megatron's indexed dataset, a Hugging Face dataset.

    split of packed_shards ──▶ <prefix>.bin, <prefix>.idx      a sequence a segment, in training order, no padding
                           └─▶ <folder>/*.arrow                a row a row: input_ids, seq_lengths, sources, num_bytes

No token is lost or added in either; padding is left out of both.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.schema import CANARY_SOURCE
from tonsai_pipeline.storage.files import atomic_path, digest_json
from tonsai_pipeline.storage.shards import RowBlock, RowReader

#: Rows held in memory at a time.
_BLOCK_ROWS = 512
#: Source: NVIDIA Megatron-LM, megatron/core/datasets/readme.md and indexed_dataset.py (format version 1).
_MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
_MEGATRON_VERSION = 1
#: Megatron has no uint32; a vocabulary is never so large that int32 could not hold an id.
_MEGATRON_DTYPES = {"uint16": (8, "<u2"), "uint32": (4, "<i4")}


@dataclass(frozen=True)
class ExportCounts:
    """What was written; tokens are without padding."""

    num_rows: int
    num_segments: int
    num_tokens: int


def export_megatron(split: Path, prefix: Path) -> ExportCounts:
    """Write a split as `<prefix>.bin` and `<prefix>.idx`, each segment a sequence and a document of its own.

    Megatron cuts its samples itself; with `--reset-attention-mask --reset-position-ids` it keeps documents apart, as
    packed rows do. The index is written last.

    Args:
        split: A split, for example `packed_shards/train`.
        prefix: What Megatron's `--data-path` names, without `.bin`.

    Raises:
        DataError: The split is not readable, or has canaries.
        StorageError: The disk is full or denies access.
    """
    reader = _open(split)
    code, dtype = _MEGATRON_DTYPES[reader.header.dtype.name]
    lengths = [np.zeros(0, dtype="<i4")]
    index = prefix.with_name(prefix.name + ".idx")
    index.unlink(missing_ok=True)
    data = prefix.with_name(prefix.name + ".bin")
    with atomic_path(data) as temporary, temporary.open("wb") as stream:
        for block in _blocks(reader):
            stream.write(block.input_ids[_filled(block)].astype(dtype).tobytes())
            lengths.append(block.segments["num_tokens"].astype("<i4"))
    every = np.concatenate(lengths)
    with atomic_path(index) as temporary:
        temporary.write_bytes(_megatron_index(every, code, np.dtype(dtype).itemsize))
    return ExportCounts(reader.num_rows, len(every), int(every.sum(dtype=np.int64)))


def export_arrow(split: Path, folder: Path) -> ExportCounts:
    """Write a split as a dataset that `datasets.load_from_disk` opens; an older one in `folder` is replaced whole.

    `input_ids` are a row without padding, `seq_lengths` the lengths of its segments (the name that padding-free
    collators look for), `sources` and `num_bytes` one entry a segment.

    Raises:
        DataError: The split is not readable, has canaries, or has no rows: `datasets` cannot open an empty folder.
    """
    import datasets

    reader = _open(split)
    if reader.num_rows == 0:
        raise DataError(f"{split}: has no rows, and a dataset of none cannot be opened again")
    ids = datasets.Value(reader.header.dtype.name)
    features = datasets.Features(
        {
            "input_ids": datasets.List(ids),
            "seq_lengths": datasets.List(datasets.Value("int32")),
            "sources": datasets.List(datasets.ClassLabel(names=list(reader.sources))),
            "num_bytes": datasets.List(datasets.Value("int32")),
        }
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-export-") as temporary:
        rows: Any = datasets.Dataset.from_generator(
            _rows,
            features=features,
            cache_dir=f"{temporary}/cache",
            gen_kwargs={"split": split},
            fingerprint=digest_json(str(split))[:16],
        )
        finished = Path(temporary) / "dataset"
        rows.save_to_disk(finished)
        if folder.exists():
            shutil.rmtree(folder)
        finished.replace(folder)
    return ExportCounts(reader.num_rows, reader.num_segments, reader.num_tokens)


def _open(split: Path) -> RowReader:
    """Open a split that may be given to others."""
    reader = RowReader(split)
    if CANARY_SOURCE in reader.sources:
        raise DataError(
            f"{split}: has canaries among its rows, which are planted to be found again and not to be given away; "
            "pack without packing.canaries to export"
        )
    return reader


def _blocks(reader: RowReader) -> Iterator[RowBlock]:
    for start in range(0, reader.num_rows, _BLOCK_ROWS):
        yield reader.block(start, min(reader.num_rows, start + _BLOCK_ROWS))


def _filled(block: RowBlock) -> np.ndarray:
    """Return which places hold a token, shape of the ids."""
    starts = np.cumsum(block.num_segments) - block.num_segments
    filled = np.add.reduceat(block.segments["num_tokens"].astype(np.int64), starts)
    return np.arange(block.input_ids.shape[1]) < filled[:, None]


def _megatron_index(lengths: np.ndarray, code: int, item_bytes: int) -> bytes:
    """Write the index: header, lengths, byte offsets, and where each document begins in the sequences."""
    ends = np.cumsum(lengths, dtype=np.int64) * item_bytes
    documents = np.arange(len(lengths) + 1, dtype="<i8")
    head = struct.pack("<QBQQ", _MEGATRON_VERSION, code, len(lengths), len(documents))
    offsets = (ends - lengths.astype(np.int64) * item_bytes).astype("<i8")
    tables = (lengths.astype("<i4"), offsets, documents)
    return _MEGATRON_MAGIC + head + b"".join(table.tobytes() for table in tables)


def _rows(split: Path) -> Iterator[dict[str, Any]]:
    """Yield rows without their padding."""
    reader = RowReader(split)
    for index in range(reader.num_rows):
        row = reader.row(index)
        yield {
            "input_ids": row.input_ids[: row.cu_seqlens[-1]],
            "seq_lengths": np.diff(row.cu_seqlens),
            "sources": row.sources.astype(np.int64),
            "num_bytes": row.num_bytes,
        }
