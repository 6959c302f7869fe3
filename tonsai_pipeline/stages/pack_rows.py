"""A window of the run -> one shard: documents fitted into rows, rows shuffled, ids copied from the token store.

Windows are independent: they are packed side by side, and each is remembered as soon as its shard is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.mixture.plan import random_keys
from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.packing.concat import concat, in_order
from tonsai_pipeline.packing.rows import Rows, length_histogram, stats_of
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowsHeader, ShardWriter

#: Rows put together in memory before they are written.
_BLOCK_ROWS = 512
STRATEGIES = {"best_fit": best_fit, "concat": concat, "in_order": in_order}


class Window(NamedTuple):
    """One window of one split.

    `split` is the folder of the shard; `number` its place; `first` and `last` the stretch of the order;
    `seed` shuffles rows, None leaves them in order. The order, the table of documents and the lengths of tokens
    lie in `plan`, where workers map them into memory.
    """

    split: str
    number: int
    first: int
    last: int
    strategy: str
    seed: int | None
    header: RowsHeader
    id_files: tuple[Path, ...]
    plan: str


def save_plan(
    folder: Path, order: npt.NDArray[np.int64], entries: npt.NDArray[np.void], lengths: npt.NDArray
) -> None:
    """Write what the windows of a split share."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "order.npy", order)
    np.save(folder / "entries.npy", entries)
    np.save(folder / "token_lengths.npy", lengths)


def pack_window(window: Window, folder: Path) -> dict[str, Any]:
    """Pack one window and write its shard.

    Returns:
        The shard's entry, the numbers of the packing, and tokens and segments by source.
    """
    plan = folder / window.plan
    chosen = np.load(plan / "order.npy", mmap_mode="r")[window.first : window.last]
    documents = np.load(plan / "entries.npy", mmap_mode="r")[chosen]
    rows = STRATEGIES[window.strategy](documents["num_tokens"], window.header.seq_len)
    if window.seed is not None:
        items = np.arange(rows.num_rows, dtype=np.uint64)
        rows = rows.reordered(np.argsort(random_keys(window.seed, window.number, items=items)))
    writer = ShardWriter(folder / window.split, window.number, window.header)
    try:
        lengths = np.load(plan / "token_lengths.npy")
        for block in _blocks(rows, documents, lengths, window):
            writer.append(block)
    except BaseException:
        writer.abandon()
        raise
    stats = stats_of(rows, documents["num_tokens"], window.header.seq_len)
    return {
        "shard": writer.close()._asdict(),
        "stats": asdict(stats),
        "segment_lengths": {str(size): n for size, n in length_histogram(rows.num_tokens).items()},
    }


def _blocks(
    rows: Rows, documents: npt.NDArray[np.void], lengths: npt.NDArray, window: Window
) -> Iterator[RowBlock]:
    """Copy ids from the token store, some rows at a time."""
    store = _IdFiles(window.id_files, window.header.dtype)
    for first in range(0, rows.num_rows, _BLOCK_ROWS):
        last = min(rows.num_rows, first + _BLOCK_ROWS)
        shape = (last - first, window.header.seq_len)
        ids = np.full(shape, window.header.pad_id, dtype=window.header.dtype)
        borders = rows.offsets[first : last + 1]
        segments = np.zeros(borders[-1] - borders[0], dtype=SEGMENT)
        place = 0
        for row in range(last - first):
            at = 0
            for index in range(borders[row], borders[row + 1]):
                document = documents[rows.document[index]]
                start, size = int(rows.start[index]), int(rows.num_tokens[index])
                piece = store.read(document, start, size)
                ids[row, at : at + size] = piece
                num_bytes = _covered(document, start, piece, lengths, store)
                segments[place] = (size, document["source"], num_bytes)
                at, place = at + size, place + 1
        yield RowBlock(ids, np.diff(borders), segments)


class _IdFiles:
    """The token store's files, mapped into memory when they are first needed."""

    def __init__(self, paths: tuple[Path, ...], dtype: np.dtype) -> None:
        self._paths = paths
        self._dtype = dtype
        self._open: dict[int, np.ndarray] = {}

    def read(self, document: Any, start: int, num_tokens: int) -> np.ndarray:
        """Return a stretch of a document's ids."""
        part = int(document["part"])
        if part not in self._open:
            self._open[part] = np.memmap(self._paths[part], dtype=self._dtype, mode="r")
        first = int(document["start"]) + start
        return self._open[part][first : first + num_tokens]


def _covered(
    document: Any, start: int, piece: np.ndarray, lengths: npt.NDArray, store: _IdFiles
) -> int:
    """Return the bytes of text that the predicted tokens of a segment stand for.

    The first token of a fragment that does not begin its document is never predicted. The first fragment takes
    whatever a tokenizer drops or adds (a leading space), so that all fragments and first tokens together
    have the bytes of the document.
    """
    if len(piece) == document["num_tokens"]:
        return int(document["num_bytes"])
    if start > 0:
        return int(lengths[piece[1:]].sum())
    whole = store.read(document, 0, int(document["num_tokens"]))
    return int(document["num_bytes"] - lengths[whole[len(piece) :]].sum())
