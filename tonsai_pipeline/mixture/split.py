"""Document ids -> train or validation, by a hash of the id and a border per language.

The border is a fixed share of the hash range, so that a document never changes sides when a dump is added;
only where that gives too few or too many documents is it moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash


def hash_ids(doc_ids: Sequence[str], *, seed: int) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each id (XXH3), shape (num_docs,).

    Example:
        >>> bool(hash_ids(["a"], seed=0)[0] == hash_ids(["a", "b"], seed=0)[0])
        True
    """
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(doc_id.encode(), seed=seed) for doc_id in doc_ids),
        dtype=np.uint64,
        count=len(doc_ids),
    )


def smallest(hashes: npt.NDArray[np.uint64], limit: int) -> npt.NDArray[np.uint64]:
    """Return the `limit` smallest hashes in ascending order: what a part must remember for `split_border`."""
    return np.sort(np.partition(hashes, limit - 1)[:limit] if len(hashes) > limit else hashes)


def split_border(
    smallest_hashes: npt.NDArray[np.uint64],
    num_documents: int,
    *,
    frac: float,
    min_documents: int,
    max_documents: int,
) -> int:
    """Return the border: documents whose hash is below it are held out for validation.

    Args:
        smallest_hashes: At least the `max_documents` + 1 smallest hashes of the language, ascending.
        num_documents: Documents of the language.
        frac: Share of documents wanted.
        min_documents: At least so many, but never more than a tenth of all, and one if there are two or more.
        max_documents: At most so many.

    Example:
        >>> hashes = np.arange(100, dtype=np.uint64) * np.uint64(2**57)
        >>> border = split_border(hashes, 100, frac=0.001, min_documents=5, max_documents=50)
        >>> int((hashes < border).sum())
        5
    """
    border = min(int(frac * 2.0**64), 2**64 - 1)
    held_out = int(np.searchsorted(smallest_hashes, np.uint64(border)))
    least = min(min_documents, max(num_documents // 10, 1 if num_documents >= 2 else 0))
    wanted = min(max(held_out, least), max_documents)
    if wanted == held_out:
        return border
    if wanted >= len(smallest_hashes):
        return int(smallest_hashes[-1]) + 1 if len(smallest_hashes) else 0
    return int(smallest_hashes[wanted])
