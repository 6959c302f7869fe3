"""What a packing is: for every row, the segments that lie in it.

Values shared by `best_fit` and `concat`, and the numbers a person asks about a packing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Segment(NamedTuple):
    """A stretch of a document: its index, first token and number of tokens."""

    document: int
    start: int
    num_tokens: int


@dataclass(frozen=True)
class Rows:
    """Rows as segments, row after row.

    Args:
        offsets: Segments of row i are offsets[i] to offsets[i+1]; int64, shape (num_rows + 1,).
        document: Index of the document, int64, shape (num_segments,).
        start: First token of the segment in its document, int64, shape (num_segments,).
        num_tokens: Tokens of the segment, at least 1; int64, shape (num_segments,).
    """

    offsets: npt.NDArray[np.int64]
    document: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    num_tokens: npt.NDArray[np.int64]

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1

    def row(self, index: int) -> list[Segment]:
        """Return the segments of one row."""
        first, last = self.offsets[index], self.offsets[index + 1]
        columns = (self.document, self.start, self.num_tokens)
        return [
            Segment(*map(int, one)) for one in zip(*(c[first:last] for c in columns), strict=True)
        ]

    def reordered(self, order: npt.NDArray[np.int64]) -> Rows:
        """Return the same rows in another order.

        Args:
            order: Old index of each new row, a permutation.
        """
        counts = np.diff(self.offsets)[order]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        segments = np.arange(offsets[-1]) + np.repeat(
            self.offsets[:-1][order] - offsets[:-1], counts
        )
        return Rows(
            offsets, self.document[segments], self.start[segments], self.num_tokens[segments]
        )


@dataclass(frozen=True)
class PackingStats:
    """The numbers of a packing; those of several packings may be added.

    Args:
        seq_len: Tokens of a row.
        num_rows: Rows.
        num_documents: Documents that were packed, repeats included.
        num_tokens: Their tokens.
        num_segments: Pieces they lie in.
        num_long: Documents longer than a row, which must be cut.
        num_cut: Documents that were cut.
    """

    seq_len: int
    num_rows: int = 0
    num_documents: int = 0
    num_tokens: int = 0
    num_segments: int = 0
    num_long: int = 0
    num_cut: int = 0

    @property
    def fill_frac(self) -> float:
        """Share of the places that hold a token."""
        return self.num_tokens / max(1, self.num_rows * self.seq_len)

    @property
    def segments_per_row(self) -> float:
        """Mean number of segments in a row."""
        return self.num_segments / max(1, self.num_rows)


def stats_of(rows: Rows, lengths: npt.NDArray[np.integer], seq_len: int) -> PackingStats:
    """Count what a packing did with documents of these lengths."""
    pieces = np.bincount(rows.document, minlength=len(lengths))
    return PackingStats(
        seq_len=seq_len,
        num_rows=rows.num_rows,
        num_documents=len(lengths),
        num_tokens=int(rows.num_tokens.sum()),
        num_segments=len(rows.num_tokens),
        num_long=int((np.asarray(lengths) > seq_len).sum()),
        num_cut=int((pieces > 1).sum()),
    )


def length_histogram(num_tokens: npt.NDArray[np.integer]) -> dict[int, int]:
    """Count segments by the largest power of two up to their length; histograms may be added.

    Example:
        >>> length_histogram(np.array([1, 2, 3, 9]))
        {1: 1, 2: 2, 8: 1}
    """
    # frexp is exact where log2 might round 2^k - 1 up.
    exponents = np.frexp(np.asarray(num_tokens, dtype=np.float64))[1] - 1
    values, counts = np.unique(exponents, return_counts=True)
    return {1 << int(value): int(count) for value, count in zip(values, counts, strict=True)}


def position_coverage(histogram: Mapping[int, int]) -> list[tuple[int, float]]:
    """Tell how often positions inside a document are trained, when positions restart with each document.

    Args:
        histogram: Segments by the largest power of two up to their length.

    Returns:
        Pairs (position, share of segments that reach it), at positions 2^k - 1.

    Example:
        >>> position_coverage(length_histogram(np.array([1, 2, 3, 9])))
        [(0, 1.0), (1, 0.75), (7, 0.25)]
    """
    total = sum(histogram.values())
    left = total
    coverage = []
    for power in sorted(histogram):
        coverage.append((power - 1, left / total))
        left -= histogram[power]
    return coverage
