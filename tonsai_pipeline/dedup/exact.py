"""Dedup keys -> 128-bit fingerprints -> the first document with the same text.

    keys ──xxh3_128──▶ (num_docs, 2) uint64 ──sort, group──▶ doc_index of the first equal document

Exact copies are most of the duplicates of a crawl and cost a sort, so they are resolved before anything is
compared. At 10^10 documents the chance that any two different texts share a fingerprint is about 10^-19.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import xxhash

from tonsai_pipeline.dedup.shingles import string_buffers

#: No earlier document has the same text.
NOT_DUPLICATE = np.int64(-1)


def exact_keys(keys: pa.Array) -> np.ndarray:
    """Fingerprint every dedup key.

    Args:
        keys: `string` or `large_string` array, shape (num_docs,).

    Returns:
        uint64, shape (num_docs, 2): the high and the low half of XXH3-128.

    Example:
        >>> one, two, three = exact_keys(pa.array(["same text", "same text", "other text"]))
        >>> bool((one == two).all()), bool((one == three).all())
        (True, False)
    """
    data, offsets = string_buffers(keys)
    view = data.data
    digests = b"".join(
        xxhash.xxh3_128_digest(view[start:stop]) for start, stop in pairwise(offsets.tolist())
    )
    return np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def first_copies(keys: np.ndarray, doc_indices: np.ndarray) -> np.ndarray:
    """Find, for each document, the first one with the same fingerprint.

    Args:
        keys: uint64, shape (num_docs, 2), as `exact_keys` returns them.
        doc_indices: Places of the documents in the corpus, int64, shape (num_docs,), all different.

    Returns:
        int64, shape (num_docs,): the lowest doc_index with the same fingerprint, `NOT_DUPLICATE` for that
        document itself.

    Example:
        >>> keys = np.array([[0, 7], [0, 9], [0, 7]], np.uint64)
        >>> first_copies(keys, np.array([10, 11, 12])).tolist()
        [-1, -1, 10]
    """
    if len(keys) == 0:
        return np.zeros(0, np.int64)
    order = np.lexsort((doc_indices, keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    starts = np.ones(len(keys), dtype=bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.cumsum(starts) - 1
    firsts = doc_indices[order][starts]
    kept_duplicates = np.empty(len(keys), dtype=np.int64)
    kept_duplicates[order] = np.where(starts, NOT_DUPLICATE, firsts[group])
    return kept_duplicates
