"""Best-fit decreasing: documents stay whole, rows are nearly full, no token is dropped.

    lengths ──cut those longer than a row──▶ items ──longest first, into the fullest row it fits──▶ Rows

Best fit for lengths bounded by a row needs no search over rows: rows are filed by the room they have left, and
a tree over those rooms gives the least room that suffices. One item costs O(log seq_len), whatever the number
of rows.

Source: Johnson, "Near-optimal bin packing algorithms" (MIT, 1973), the rule; Ding et al., "Fewer Truncations
    Improve Language Modeling" (ICML 2024), its use for documents, and the tree over rooms. They cut the tail
    of long documents off; here it is an item like any other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.packing.rows import Rows


def best_fit(lengths: npt.ArrayLike, seq_len: int) -> Rows:
    """Pack documents into rows.

    A document longer than a row becomes full rows and a rest; the rest is packed like a document. Equally long
    items keep their order, and the result depends on nothing but the arguments.

    Args:
        lengths: Tokens of each document, at least 1; shape (num_docs,).
        seq_len: Tokens of a row, 1 to 2^20.

    Returns:
        Rows in the order in which they were opened, longest item first.

    Raises:
        ValueError: A document without tokens, or a row length out of range.

    Example:
        >>> rows = best_fit([3, 7, 5, 5], seq_len=10)
        >>> [rows.row(i) for i in range(rows.num_rows)]  # doctest: +NORMALIZE_WHITESPACE
        [[Segment(document=1, start=0, num_tokens=7), Segment(document=0, start=0, num_tokens=3)],
         [Segment(document=2, start=0, num_tokens=5), Segment(document=3, start=0, num_tokens=5)]]
        >>> best_fit([25], seq_len=10).num_tokens.tolist()
        [10, 10, 5]
    """
    sizes = check_lengths(lengths, seq_len)
    document, start, num_tokens = cut(sizes, seq_len)
    order = np.argsort(seq_len - num_tokens, kind="stable").astype(np.int64)
    row_of = np.empty(len(order), dtype=np.int64)
    num_rows = _assign(num_tokens[order], seq_len, row_of)
    # Stable: within a row, segments stay in the order in which they were put there.
    by_row = np.argsort(row_of, kind="stable")
    segments = order[by_row]
    offsets = np.zeros(num_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(row_of, minlength=num_rows), out=offsets[1:])
    return Rows(offsets, document[segments], start[segments], num_tokens[segments])


def cut(
    lengths: npt.NDArray[np.int64], seq_len: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cut documents longer than a row every `seq_len` tokens.

    Returns:
        Document, start and length of every piece, in order of documents; shape (num_pieces,) each.
    """
    num_pieces = -(-lengths // seq_len)
    document = np.repeat(np.arange(len(lengths), dtype=np.int64), num_pieces)
    first = np.cumsum(num_pieces) - num_pieces
    start = (np.arange(len(document), dtype=np.int64) - first[document]) * seq_len
    return document, start, np.minimum(lengths[document] - start, seq_len)


def check_lengths(lengths: npt.ArrayLike, seq_len: int) -> npt.NDArray[np.int64]:
    """Return lengths as int64.

    Raises:
        ValueError: A document without tokens, or a row length out of range.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if not 1 <= seq_len <= 1 << 20:
        raise ValueError(f"seq_len must be in 1..{1 << 20}, not {seq_len}")
    if sizes.ndim != 1:
        raise ValueError(f"lengths must be one number a document, not of shape {sizes.shape}")
    if len(sizes) and sizes.min() < 1:
        raise ValueError(f"document {int(sizes.argmin())} has {int(sizes.min())} tokens")
    return sizes


@kernel
def _assign(lengths: np.ndarray, seq_len: int, row_of: np.ndarray) -> int:
    """Give each item, longest first, a row; return the number of rows.

    Open rows of the same room are a stack; a node of `tree` tells whether any room below it occurs.
    """
    num_rows = 0
    top = np.full(seq_len + 1, -1, np.int64)  # room -> row opened or refilled last
    below = np.empty(len(lengths), np.int64)  # row -> the next of the same room
    size = 1
    while size <= seq_len:
        size *= 2
    tree = np.zeros(2 * size, np.bool_)  # leaf size + room: is there a row with this room
    for item in range(len(lengths)):
        length = lengths[item]
        room = _least_room(tree, size, length)
        if room < 0:
            row, left = num_rows, seq_len - length
            num_rows += 1
        else:
            row, left = top[room], room - length
            top[room] = below[row]
            if top[room] < 0:
                _set(tree, size, room, False)
        row_of[item] = row
        if left > 0:
            below[row] = top[left]
            if top[left] < 0:
                _set(tree, size, left, True)
            top[left] = row
    return num_rows


@inner
def _set(tree: np.ndarray, size: int, room: int, value: bool) -> None:
    """Mark whether a room occurs, and keep the nodes above true to their children."""
    node = size + room
    tree[node] = value
    node //= 2
    while node >= 1:
        either = tree[2 * node] or tree[2 * node + 1]
        if tree[node] == either:
            return
        tree[node] = either
        node //= 2


@inner
def _least_room(tree: np.ndarray, size: int, length: int) -> int:
    """Return the least room that is at least `length`, or -1."""
    node = size + length
    if tree[node]:
        return length
    # Up, until there is something to the right; then down along the left.
    while node > 1:
        if node % 2 == 0 and tree[node + 1]:
            node += 1
            while node < size:
                node = 2 * node if tree[2 * node] else 2 * node + 1
            return node - size
        node //= 2
    return -1
