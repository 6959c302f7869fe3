"""Concatenate and cut: documents end to end, a row every `seq_len` tokens. Pads nothing, cuts much.

lengths ──join in order──▶ one stream ──cut──▶ Rows
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.packing.best_fit import check_lengths, cut
from tonsai_pipeline.packing.rows import Rows


def concat(lengths: npt.ArrayLike, seq_len: int) -> Rows:
    """Pack documents in order, cutting at every row's end; the last row may be short.

    Args:
        lengths: Tokens of each document, at least 1; shape (num_docs,).
        seq_len: Tokens of a row, 1 to 2^20.

    Raises:
        ValueError: A document without tokens, or a row length out of range.

    Example:
        >>> rows = concat([3, 4, 5], seq_len=5)
        >>> [[tuple(s) for s in rows.row(i)] for i in range(rows.num_rows)]
        [[(0, 0, 3), (1, 0, 2)], [(1, 2, 2), (2, 0, 3)], [(2, 3, 2)]]
    """
    sizes = check_lengths(lengths, seq_len)
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    # A segment begins where a document or a row does.
    begins = np.union1d(ends - sizes, np.arange(0, total, seq_len, dtype=np.int64))
    document = np.searchsorted(ends, begins, side="right")
    num_tokens = np.diff(begins, append=total)
    start = begins - (ends - sizes)[document]
    num_rows = -(-total // seq_len)
    offsets = np.searchsorted(begins, np.arange(num_rows + 1, dtype=np.int64) * seq_len)
    return Rows(offsets.astype(np.int64), document.astype(np.int64), start, num_tokens)


def in_order(lengths: npt.ArrayLike, seq_len: int) -> Rows:
    """Pack documents in order and whole: a row ends where the next document no longer fits.

    For held-out text, whose order is worth more than a full row. Documents longer than a row are cut.

    Raises:
        ValueError: A document without tokens, or a row length out of range.

    Example:
        >>> rows = in_order([3, 4, 2], seq_len=5)
        >>> [[tuple(s) for s in rows.row(i)] for i in range(rows.num_rows)]
        [[(0, 0, 3)], [(1, 0, 4)], [(2, 0, 2)]]
    """
    document, start, num_tokens = cut(check_lengths(lengths, seq_len), seq_len)
    offsets = [0]
    used = 0
    for index, length in enumerate(num_tokens.tolist()):
        if used + length > seq_len:
            offsets.append(index)
            used = 0
        used += length
    if len(num_tokens):
        offsets.append(len(num_tokens))
    return Rows(np.array(offsets, dtype=np.int64), document, start, num_tokens)
