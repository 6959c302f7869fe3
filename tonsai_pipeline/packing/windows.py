"""The order of a run -> windows, each packed by itself: shares and epochs stay in place, memory is bounded.

Packing all documents at once would forget the order that the mixture asks for: epochs would mix, and copies of
one document would meet in a row. A window is long enough to fill its rows and short enough that no source begins
a new epoch twice in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: A window of fewer rows than this leaves too much padding at its end. Measured with `best_fit` on lognormal
#: lengths (mean 400 tokens, sigma 1) and rows of 2,048, mean of 20 draws: fill of 98.6 % at 32 rows, 99.3 % at 64,
#: 99.6 % at 128, 99.9 % at 1,024.
MIN_WINDOW_ROWS = 128


def cut_windows(
    num_tokens: npt.NDArray[np.integer],
    seq_len: int,
    *,
    max_rows: int,
    stage_ends: Sequence[int] | None = None,
    num_epochs: float = 1.0,
) -> npt.NDArray[np.int64]:
    """Cut a sequence of documents into windows of about equally many tokens.

    Args:
        num_tokens: Tokens of each document, in order; shape (n,).
        seq_len: Tokens of a row.
        max_rows: Rows of a window at most; a single document that is longer is a window by itself.
        stage_ends: Places where a window must end because shares change there, ascending, the last is n; None: n.
        num_epochs: Most passes over any source.

    Returns:
        Borders, int64, shape (num_windows + 1,), from 0 to n; no window is empty.

    Example:
        >>> cut_windows(np.full(1000, 512), 1024, max_rows=200).tolist()
        [0, 333, 667, 1000]
        >>> cut_windows(np.full(1000, 512), 1024, max_rows=600, stage_ends=[900, 1000]).tolist()
        [0, 900, 1000]
    """
    ends = np.cumsum(num_tokens, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    borders = [0]
    for stage_end in [len(ends)] if stage_ends is None else stage_ends:
        first = borders[-1]
        before = int(ends[first - 1]) if first else 0
        stretch = ends[first:stage_end] - before
        if len(stretch):
            share = int(stretch[-1]) / total
            inner = _cut(stretch, seq_len, max_rows, num_epochs * share)
            borders += [*(first + inner), stage_end]
    return np.unique(np.array(borders, dtype=np.int64))


def _cut(
    ends: npt.NDArray[np.int64], seq_len: int, max_rows: int, num_epochs: float
) -> npt.NDArray[np.int64]:
    """Return the borders inside one stage."""
    # A little room for padding, so that a window rarely needs more than `max_rows`.
    most = max(1, int(max_rows * 0.98)) * seq_len
    total = int(ends[-1])
    needed = -(-total // most)
    wanted = max(needed, int(np.ceil(num_epochs)))
    num_windows = min(wanted, max(needed, total // (MIN_WINDOW_ROWS * seq_len)))
    targets = np.arange(1, num_windows) * (total / num_windows)
    middles = ends - np.diff(ends, prepend=0) // 2
    return np.searchsorted(middles, targets)
