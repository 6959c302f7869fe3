r"""A batch of texts -> the batch of their lines, without a loop over either.

["ab\nc", "d"] ──split_lines──▶ ["ab", "c", "d"], firsts [0, 2, 3]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.text.utf8 import Utf8Batch, frozen

_LINE_FEED = 0x0A


class Lines(NamedTuple):
    """The lines of some texts, in order.

    Args:
        batch: A line a text, without its line feed.
        firsts: Number of the first line of each text, and of all lines; shape (num_texts + 1,).
        data: Of the texts.
        starts: Where a line begins in that data.
        ends: Where it ends, before its line feed.
    """

    batch: Utf8Batch
    firsts: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def text_of(self) -> npt.NDArray[np.int64]:
        """Return the number of the text that each line is of."""
        return np.repeat(np.arange(len(self.firsts) - 1), np.diff(self.firsts))

    def sums(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """Add what was counted in each line over each text; shape (num_texts, ...)."""
        before = np.zeros((len(values) + 1, *values.shape[1:]), np.int64)
        np.cumsum(values, axis=0, out=before[1:])
        return before[self.firsts[1:]] - before[self.firsts[:-1]]


def split_lines(batch: Utf8Batch) -> Lines:
    """Cut each text at its line feeds, as `str.split` does: a text has one line more than line feeds."""
    data, offsets = batch
    first, last = int(offsets[0]), int(offsets[-1])
    feeds = np.flatnonzero(data[first:last] == _LINE_FEED) + first
    # Both are ascending over all lines, so that sorting puts each start beside its end.
    starts = np.sort(np.concatenate([offsets[:-1], feeds + 1]))
    ends = np.sort(np.concatenate([offsets[1:], feeds]))
    firsts = np.arange(len(offsets)) + np.searchsorted(feeds, offsets)
    line_offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    bare = np.delete(data[first:last], feeds - first)
    return Lines(Utf8Batch(frozen(bare), frozen(line_offsets)), firsts, data, starts, ends)
