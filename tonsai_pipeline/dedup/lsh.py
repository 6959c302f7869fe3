"""Signatures -> band keys -> buckets of documents that may be duplicates.

    (num_docs, num_perm) ──mix per band──▶ (num_docs, num_bands) uint64 ──sort──▶ buckets of two or more

Two documents are candidates if they agree in all rows of at least one band, which for Jaccard similarity s
happens with probability 1 - (1 - s^rows)^bands. A band key is a 64-bit mix of the band's number and every
value, never their sum: sums of minima crowd together and at a million documents 6 % of unrelated ones meet.

A candidate is only a nomination; `verify.py` decides, `greedy.py` keeps the books.

Source:
    Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4 (banding).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.dedup.shingle_units import mix64

#: Of the entries that meet no key an eighth lies in a stretch with one; more stretches would leave the caches.
_STRETCHES_PER_KEY = 8


@dataclass(frozen=True)
class Buckets:
    """Groups of documents that share a band key, laid end to end.

    Args:
        members: Document indices of documents, ascending within a bucket; int64, shape (num_members,).
        offsets: int64, shape (num_buckets + 1,); bucket i is `members[offsets[i]:offsets[i + 1]]`.
    """

    members: np.ndarray
    offsets: np.ndarray

    @property
    def num_buckets(self) -> int:
        """Number of buckets."""
        return len(self.offsets) - 1


def band_keys(values: np.ndarray, *, num_bands: int, rows_per_band: int) -> np.ndarray:
    """Mix each band of each signature to one 64-bit key.

    Args:
        values: Signatures, uint32, shape (num_docs, num_perm).
        num_bands: Bands.
        rows_per_band: Hash values in a band; values past `num_bands * rows_per_band` are not used.

    Returns:
        uint64, shape (num_docs, num_bands). Keys of different bands never meet, save by accident.

    Raises:
        ValueError: The signature is too short for the bands.

    Example:
        >>> signed = np.array([[1, 2, 3, 4], [1, 2, 9, 9]], np.uint32)
        >>> one, two = band_keys(signed, num_bands=2, rows_per_band=2)
        >>> (one == two).tolist()
        [True, False]
    """
    num_perm = values.shape[1]
    if num_bands < 1 or rows_per_band < 1 or num_bands * rows_per_band > num_perm:
        raise ValueError(
            f"{num_bands} bands of {rows_per_band} rows do not fit {num_perm} hash values"
        )
    keys = np.empty((len(values), num_bands), dtype=np.uint64)
    _mix_bands(np.ascontiguousarray(values), num_bands, rows_per_band, keys)
    return keys


def bucket(keys: np.ndarray, doc_indices: np.ndarray) -> Buckets:
    """Group documents by band key; groups of one are left out.

    Args:
        keys: uint64, shape (num_entries,).
        doc_indices: The document of each entry, int64, same shape.

    Example:
        >>> found = bucket(np.array([5, 8, 5, 9], np.uint64), np.array([3, 3, 1, 2]))
        >>> found.members.tolist(), found.offsets.tolist()
        ([1, 3], [0, 2])
    """
    # Stable: sorted runs laid end to end, as a join makes them, are merged and not sorted anew.
    order = np.argsort(keys, kind="stable")
    members, offsets = _group(keys[order], doc_indices[order])
    return Buckets(members, offsets)


@dataclass(frozen=True)
class Wanted:
    """Keys to look for in many sorted runs, in which nearly no key is one of them.

    The span of the keys is cut into equal stretches, eight for a key, and of a stretch is known whether any
    key lies in it: for most entries of a run that one look is enough.

    Args:
        keys: uint64, ascending, shape (num_keys,); spread evenly over their span, as hashes are.
        is_taken: Whether a key lies in a stretch; bool, shape (num_stretches,).
        shift: The stretch of a key is `(key - keys[0]) >> shift`.
    """

    keys: np.ndarray
    is_taken: np.ndarray
    shift: int

    @classmethod
    def of(cls, keys: np.ndarray) -> Wanted:
        """Prepare keys to be looked for; uint64, ascending, shape (num_keys,)."""
        if len(keys) == 0:
            return cls(keys, np.zeros(0, bool), 0)
        span = int(keys[-1] - keys[0])
        shift = max(0, span.bit_length() - (_STRETCHES_PER_KEY * len(keys)).bit_length())
        is_taken = np.zeros((span >> shift) + 1, bool)
        is_taken[(keys - keys[0]) >> np.uint64(shift)] = True
        return cls(keys, is_taken, shift)

    def met_by(self, run: np.ndarray) -> np.ndarray:
        """Find the entries of a sorted run whose key is wanted.

        Args:
            run: uint64, ascending, shape (num_entries,).

        Returns:
            Indices into `run`, int64, ascending. The cost is one pass over the run and over the keys.

        Example:
            >>> Wanted.of(np.array([1, 4, 9], np.uint64)).met_by(
            ...     np.array([2, 4, 4, 9], np.uint64)
            ... ).tolist()
            [1, 2, 3]
        """
        return _meet(run, self.keys, self.is_taken, np.uint64(self.shift))

    def select(self, run: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries of a sorted run whose key is wanted, and the values that go with them."""
        met = self.met_by(run)
        return run[met], values[met]


def collision_probability(jaccard: float, *, num_bands: int, rows_per_band: int) -> float:
    """Return the chance that two documents of this similarity become candidates.

    Example:
        >>> round(collision_probability(0.8, num_bands=16, rows_per_band=8), 3)
        0.947
    """
    return 1.0 - (1.0 - jaccard**rows_per_band) ** num_bands


def choose_bands(
    num_perm: int, min_jaccard: float, *, false_negative_weight: float = 0.9
) -> tuple[int, int]:
    """Return (bands, rows) by datasketch's search, which balances the areas of both errors.

    The threshold of that search is a midpoint and not a promise of recall: with equal weights at 0.8 it
    gives 9 bands of 13 rows, which find 40 % of the pairs at exactly 0.8. Verification removes false
    candidates here, so the default weighs missed pairs nine times as much.

    Args:
        num_perm: Hash values in a signature.
        min_jaccard: Similarity from which pairs should be found, in (0, 1).
        false_negative_weight: Weight of missed pairs, in 0..1; false candidates weigh the rest.
    """
    from datasketch import MinHashLSH  # brings SciPy, 0.7 s

    index = MinHashLSH(
        threshold=min_jaccard,
        num_perm=num_perm,
        weights=(1.0 - false_negative_weight, false_negative_weight),
    )
    return index.b, index.r


@kernel
def _meet(run, wanted, is_taken, shift):
    found = np.empty(len(run), dtype=np.int64)
    num_found = 0
    j = 0
    for i in range(len(run)):
        key = run[i]
        # A key below the first one wraps around to a stretch far behind the last.
        stretch = (key - wanted[0]) >> shift if len(wanted) else np.uint64(0)
        if stretch >= np.uint64(len(is_taken)) or not is_taken[stretch]:
            continue
        while j < len(wanted) and wanted[j] < key:
            j += 1
        if j < len(wanted) and wanted[j] == key:
            found[num_found] = i
            num_found += 1
    return found[:num_found].copy()


@kernel
def _mix_bands(values, num_bands, rows, keys):
    for doc in range(len(values)):
        for band in range(num_bands):
            key = np.uint64(band + 1) * np.uint64(0x9E3779B97F4A7C15)
            for row in range(band * rows, band * rows + rows):
                key = mix64(key ^ np.uint64(values[doc, row]))
            keys[doc, band] = key


@kernel
def _group(keys, doc_indices):
    num_members = 0
    num_buckets = 0
    for i in range(len(keys)):
        joined = i > 0 and keys[i] == keys[i - 1]
        begins = i + 1 < len(keys) and keys[i] == keys[i + 1] and not joined
        num_members += 1 if joined or begins else 0
        num_buckets += 1 if begins else 0
    members = np.empty(num_members, dtype=np.int64)
    offsets = np.empty(num_buckets + 1, dtype=np.int64)
    written = 0
    found = 0
    for i in range(len(keys)):
        joined = i > 0 and keys[i] == keys[i - 1]
        begins = i + 1 < len(keys) and keys[i] == keys[i + 1] and not joined
        if begins:
            offsets[found] = written
            found += 1
        if joined or begins:
            members[written] = doc_indices[i]
            written += 1
    offsets[num_buckets] = written
    for i in range(num_buckets):
        members[offsets[i] : offsets[i + 1]].sort()
    return members, offsets
