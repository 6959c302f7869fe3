"""Packed rows -> tensors: ids, targets (of what is learned) and borders of the documents in each row.

    row numbers ──RowReader──▶ ids (T,), cu_seqlens ──make_batch──▶ Batch of (B, T)

Used for training and for measuring alike, so that both see the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from tonsai_pipeline.model.loss import IGNORE, Batch
from tonsai_pipeline.storage.rows import Row


class RowSource(Protocol):
    """Where rows come from: packed shards (`RowReader`), or rows made of them."""

    @property
    def seq_len(self) -> int:
        """Tokens of a row."""
        ...

    @property
    def pad_id(self) -> int:
        """Fills the end of a row."""
        ...

    @property
    def num_rows(self) -> int:
        """Rows."""
        ...

    def row(self, number: int, /) -> Row:
        """Return one row."""
        ...


def make_batch(
    reader: RowSource,
    rows: Sequence[int],
    *,
    positions: str,
    use_varlen: bool,
    device: torch.device | None = None,
) -> Batch:
    """Read rows and lay them out for the network.

    Args:
        reader: The packed shards.
        rows: Row numbers, in order; -1 is an empty row, all padding and no targets.
        positions: "row" or "document", see the recipe's `model.positions`.
        use_varlen: Whether borders go as `cu_seqlens` (GPU) or as segment numbers (elsewhere).
        device: Where the tensors go; empty: the CPU.

    Returns:
        Tensors of shape (len(rows), seq_len).
    """
    shape = (len(rows), reader.seq_len)
    ids = np.full(shape, reader.pad_id, dtype=np.int64)
    targets = np.full(shape, IGNORE, dtype=np.int64)
    places = np.broadcast_to(np.arange(reader.seq_len, dtype=np.int64), shape).copy()
    segments = np.zeros(shape, dtype=np.int32)
    borders = []
    for place, number in enumerate(rows):
        cu = np.zeros(1, dtype=np.int32)
        if number >= 0:
            row = reader.row(number)
            ids[place], cu = row.input_ids, row.cu_seqlens
            targets[place, : cu[-1] - 1] = row.input_ids[1 : cu[-1]]
            targets[place, cu[1:] - 1] = IGNORE
            if row.learned is not None:
                targets[place, :-1][~row.learned[1:]] = IGNORE
        starts = cu if cu[-1] < reader.seq_len else cu[:-1]
        lengths = np.diff(starts, append=reader.seq_len)
        segments[place] = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
        if positions == "document":
            places[place] -= np.repeat(starts, lengths)
        borders.append(starts + place * reader.seq_len)

    def send(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if device is None or device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(device, non_blocking=True)

    # As many as there are: a segment without tokens is not what every kernel expects.
    flat = np.append(np.concatenate(borders), shape[0] * shape[1]).astype(np.int32)
    return Batch(
        input_ids=send(ids),
        targets=send(targets),
        position_ids=send(places),
        segment_ids=None if use_varlen else send(segments),
        cu_seqlens=send(flat) if use_varlen else None,
    )
