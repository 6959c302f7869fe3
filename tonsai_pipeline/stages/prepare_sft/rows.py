"""Ids -> packed rows on the disk, and beside them which tokens are learned.

items (ids, learned, source) ──best fit, or one a row──▶ <split>/ shards + learned.npy (num_rows, seq_len) bool
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.packing.concat import in_order
from tonsai_pipeline.packing.rows import PackingStats, Rows, stats_of
from tonsai_pipeline.storage.files import atomic_path
from tonsai_pipeline.storage.rows import LEARNED_NAME, SEGMENT, RowBlock, RowsHeader
from tonsai_pipeline.storage.shards import RowWriter

TRAIN, REPLIES = "train", "val_replies"

#: Rows that are put together at a time.
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Item:
    """What stays together in a row, if it fits.

    Args:
        ids: (n,).
        learned: (n,) bool; None: all.
        source: Index into the header's sources.
    """

    ids: npt.NDArray[np.int64]
    learned: npt.NDArray[np.bool_] | None
    source: int


def write_rows(
    folder: Path,
    items: Sequence[Item],
    header: RowsHeader,
    token_bytes: npt.NDArray[np.int32],
    *,
    packing: str,
    seed: int | None,
) -> PackingStats:
    """Pack items and write a split.

    Args:
        folder: Of the split.
        items: Longer ones than a row are cut.
        header: Of the rows.
        token_bytes: Bytes of text of each id.
        packing: best_fit, in_order, or off: one item a row.
        seed: Of the order of rows; None: as packed.
    """
    lengths = np.array([len(item.ids) for item in items], dtype=np.int64)
    rows = _pack(lengths, header.seq_len, packing)
    if seed is not None:
        rows = rows.reordered(np.random.default_rng(seed).permutation(rows.num_rows))
    learned = np.zeros((rows.num_rows, header.seq_len), dtype=bool)
    with RowWriter(folder, header) as writer:
        for first in range(0, rows.num_rows, _BLOCK_ROWS):
            block = range(first, min(rows.num_rows, first + _BLOCK_ROWS))
            writer.append(_block(rows, block, items, header, token_bytes, learned))
    with atomic_path(folder / LEARNED_NAME) as temporary, temporary.open("wb") as stream:
        np.save(stream, learned)
    return stats_of(rows, lengths, header.seq_len)


def _pack(lengths: npt.NDArray[np.int64], seq_len: int, packing: str) -> Rows:
    if packing == "off":
        places = np.arange(len(lengths), dtype=np.int64)
        return Rows(np.arange(len(lengths) + 1), places, np.zeros_like(places), lengths)
    return best_fit(lengths, seq_len) if packing == "best_fit" else in_order(lengths, seq_len)


def _block(
    rows: Rows,
    block: range,
    items: Sequence[Item],
    header: RowsHeader,
    token_bytes: npt.NDArray[np.int32],
    learned: npt.NDArray[np.bool_],
) -> RowBlock:
    ids = np.full((len(block), header.seq_len), header.pad_id, dtype=header.dtype)
    counts, segments = [], []
    for place, number in enumerate(block):
        at, found = 0, rows.row(number)
        for segment in found:
            item = items[segment.document]
            stop = segment.start + segment.num_tokens
            piece = item.ids[segment.start : stop]
            is_learned = (
                np.ones(len(piece), bool)
                if item.learned is None
                else item.learned[segment.start : stop]
            )
            ids[place, at : at + len(piece)] = piece
            learned[number, at : at + len(piece)] = is_learned
            # The first token of a segment is never predicted.
            num_bytes = int(token_bytes[piece[1:]][is_learned[1:]].sum())
            segments.append((len(piece), item.source, num_bytes))
            at += len(piece)
        counts.append(len(found))
    return RowBlock(ids, np.array(counts, dtype=np.int64), np.array(segments, dtype=SEGMENT))
