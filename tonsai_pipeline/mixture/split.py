"""Texts -> train or validation: by the text alone, so that a document stays on its side for ever.

    exact key of the folded text ──hash──▶ below a fixed share of all hashes? ──▶ held out

Nothing else decides: not where the text came from, not how many documents there are. The same text in next month's
dump, under another name or in another file, is held out again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash


def held_out(
    exact_keys: npt.NDArray[np.uint64], *, frac: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Tell which documents are held out for validation.

    Args:
        exact_keys: 128-bit keys of the folded texts (`dedup.exact`), shape (num_docs, 2).
        frac: Share of all texts that is held out, 0..1.
        seed: Another seed holds out other texts.

    Returns:
        Shape (num_docs,).

    Example:
        >>> keys = np.arange(2000, dtype=np.uint64).reshape(1000, 2)
        >>> chosen = held_out(keys, frac=0.1, seed=0)
        >>> (
        ...     60 < int(chosen.sum()) < 140,
        ...     bool((held_out(keys[:7], frac=0.1, seed=0) == chosen[:7]).all()),
        ... )
        (True, True)
    """
    border = int(frac * 2.0**64)
    raw = np.ascontiguousarray(exact_keys, dtype="<u8").tobytes()
    return np.fromiter(
        (
            xxhash.xxh3_64_intdigest(raw[at : at + 16], seed=seed) < border
            for at in range(0, len(raw), 16)
        ),
        dtype=bool,
        count=len(exact_keys),
    )


def hash_ids(doc_ids: Sequence[str], *, seed: int) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each id (XXH3), shape (num_docs,): what the order of training follows.

    Example:
        >>> bool(hash_ids(["a"], seed=0)[0] == hash_ids(["a", "b"], seed=0)[0])
        True
    """
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(doc_id.encode(), seed=seed) for doc_id in doc_ids),
        dtype=np.uint64,
        count=len(doc_ids),
    )
