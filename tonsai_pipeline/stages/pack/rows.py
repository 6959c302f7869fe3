"""A window of the run -> one shard: documents fitted into rows, rows shuffled, ids copied from the token store.

Windows are independent: they are packed side by side, and each is remembered as soon as its shard is there.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.mixture.plan import random_keys
from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.packing.concat import concat, in_order
from tonsai_pipeline.packing.rows import Rows, length_histogram, stats_of
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowsHeader, ShardWriter

#: Rows put together in memory before they are written.
_BLOCK_ROWS = 512
#: Parts of the token store that a worker has open at a time.
_MAX_OPEN_FILES = 128
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
    with _TokenStore(window.id_files, window.header.dtype, lengths) as store:
        for first in range(0, rows.num_rows, _BLOCK_ROWS):
            block = range(first, min(rows.num_rows, first + _BLOCK_ROWS))
            yield _block(rows, block, documents, store, window.header)


def _block(
    rows: Rows,
    block: range,
    documents: npt.NDArray[np.void],
    store: _TokenStore,
    header: RowsHeader,
) -> RowBlock:
    ids = np.full((len(block), header.seq_len), header.pad_id, dtype=header.dtype)
    borders = rows.offsets[block.start : block.stop + 1]
    within = slice(borders[0], borders[-1])
    chosen = documents[rows.document[within]]
    starts, sizes = rows.start[within], rows.num_tokens[within]
    num_segments = np.diff(borders)
    segments = np.zeros(len(chosen), dtype=SEGMENT)
    segments["num_tokens"], segments["source"] = sizes, chosen["source"]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    first_of_row = np.arange(len(block)) * header.seq_len - ends[borders[:-1] - borders[0]]
    places = ends[:-1] + np.repeat(first_of_row, num_segments)
    flat = ids.reshape(-1)
    store.read(flat, places, chosen["part"], chosen["start"] + starts, sizes)
    segments["num_bytes"] = chosen["num_bytes"]
    for cut in np.flatnonzero(sizes < chosen["num_tokens"]).tolist():
        document = _Document(*chosen[list(_Document._fields)][cut].tolist())
        piece = flat[places[cut] : places[cut] + sizes[cut]]
        segments["num_bytes"][cut] = store.bytes_of_fragment(document, int(starts[cut]), piece)
    return RowBlock(ids, num_segments, segments)


class _Document(NamedTuple):
    """What of a document's entry leads to its ids."""

    part: int
    start: int
    num_tokens: int
    num_bytes: int


class _TokenStore:
    """The files of ids, open while they are needed.

    Read, not mapped: documents of a window lie all over the corpus, and a mapped page counts as memory in use.
    """

    def __init__(self, paths: tuple[Path, ...], dtype: np.dtype, lengths: npt.NDArray) -> None:
        self._paths = paths
        self._dtype = dtype
        self._lengths = lengths
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(
        self,
        ids: npt.NDArray[np.integer],
        places: npt.NDArray[np.integer],
        parts: npt.NDArray[np.integer],
        firsts: npt.NDArray[np.integer],
        sizes: npt.NDArray[np.integer],
    ) -> None:
        """Copy stretches of parts to their places in `ids`; all counted in ids.

        Raises:
            DataError: A file ends before a stretch does.
        """
        size = self._dtype.itemsize
        to = ids.view(np.uint8).data
        # As they lie in the store: a part is opened once, and read forwards.
        order = np.lexsort((firsts, parts))
        columns = (parts, firsts * size, places * size, sizes * size)
        for part, first, place, num_bytes in zip(
            *(column[order].tolist() for column in columns), strict=True
        ):
            self._fill(to[place : place + num_bytes], part, first)

    def bytes_of_fragment(self, document: _Document, start: int, piece: npt.NDArray) -> int:
        """Return the bytes of text that the predicted tokens of a fragment stand for.

        The first token of a fragment that does not begin its document is never predicted. The first fragment
        takes whatever a tokenizer drops or adds (a leading space), so that all fragments and first tokens together
        have the bytes of the document.

        Args:
            document: Its document.
            start: Its first token in the document.
            piece: Its ids.
        """
        if start > 0:
            return int(self._lengths[piece[1:]].sum())
        rest = np.empty(document.num_tokens - len(piece), dtype=self._dtype)
        first = (document.start + len(piece)) * self._dtype.itemsize
        self._fill(rest.view(np.uint8).data, document.part, first)
        return document.num_bytes - int(self._lengths[rest].sum())

    def _fill(self, to: memoryview, part: int, first: int) -> None:
        """Read bytes of a part from `first` on."""
        stream = self._stream(part)
        if os.preadv(stream.fileno(), [to], first) != len(to):
            raise DataError(
                f"{stream.name}: ends inside a document at byte {first}; the file is damaged: "
                "delete its folder and pack again"
            )

    def _stream(self, part: int) -> BinaryIO:
        """Return the file of a part; of the others, those that were needed last stay open."""
        if part in self._open:
            self._open.move_to_end(part)
        else:
            if len(self._open) == _MAX_OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[part] = self._paths[part].open("rb", buffering=0)
        return self._open[part]
