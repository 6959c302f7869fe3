"""Evaluation items and documents -> which documents hold how much of which item.

    items ──n-grams──▶ Index ──┐
    documents ──n-grams──▶ look up every one ──▶ per document: the item it holds most of, and the share of it

The n-grams are the shingles of `shingles.py`, long enough that two texts do not share one by chance. What counts is
the share of the *item* that the document holds: a question quoted inside a long page is found, and a page that
shares one common phrase with a long passage is not.

Source:
    n-gram overlap as a test of contamination: Brown et al. 2020, appendix C (13 words); by the share of the
    evaluation text that is covered: Touvron et al. 2023, section A.6. Units, windows and limits are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.dedup.shingles import Shingles, shingle_sets

#: Ours: a document holds no item.
NO_ITEM = np.int32(-1)
#: Bits of the sieve that most n-grams of a clean document stop at: 512 KB, in the second-level cache.
_SIEVE_BITS = 22


@dataclass(frozen=True)
class EvaluationIndex:
    """The n-grams of every evaluation item.

    Args:
        hashes: Distinct n-grams of all items, uint64, ascending, shape (num_ngrams,).
        offsets: int64, shape (num_ngrams + 1,); n-gram i occurs in `items[offsets[i]:offsets[i + 1]]`.
        items: Item numbers, int32.
        sizes: Distinct n-grams of each item, int32, shape (num_items,).
        sieve: One bit per value of the low 22 bits of a hash, uint8, shape (2^19,).
    """

    hashes: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    sizes: np.ndarray
    sieve: np.ndarray

    @property
    def num_items(self) -> int:
        """Number of items."""
        return len(self.sizes)


@dataclass(frozen=True)
class Overlaps:
    """The item that each document holds most of.

    Args:
        items: Item numbers, `NO_ITEM` where the document shares no n-gram with any; int32, shape (num_docs,).
        fracs: Share of that item's n-grams that the document has, in 0..1; float32, same shape.
    """

    items: np.ndarray
    fracs: np.ndarray


def index_items(ngrams: Shingles) -> EvaluationIndex:
    """Build the index.

    Args:
        ngrams: N-grams of every item, repeats allowed.
    """
    sets = shingle_sets(ngrams)
    sizes = np.diff(sets.offsets).astype(np.int32)
    owners = np.repeat(np.arange(sets.num_docs, dtype=np.int32), sizes)
    order = np.argsort(sets.hashes, kind="stable")
    ordered = sets.hashes[order]
    is_first = np.ones(len(ordered), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    return EvaluationIndex(
        ordered[starts],
        np.concatenate([starts, [len(ordered)]]).astype(np.int64),
        owners[order],
        sizes,
        make_sieve(ordered),
    )


def make_sieve(hashes: np.ndarray) -> np.ndarray:
    """Return the bits that are set for these hashes; see `EvaluationIndex.sieve`."""
    sieve = np.zeros(1 << (_SIEVE_BITS - 3), dtype=np.uint8)
    low = (hashes & np.uint64((1 << _SIEVE_BITS) - 1)).astype(np.int64)
    np.bitwise_or.at(sieve, low >> 3, (1 << (low & 7)).astype(np.uint8))
    return sieve


def find_overlaps(ngrams: Shingles, index: EvaluationIndex) -> Overlaps:
    """Find, for each document, the item it holds the largest share of.

    Args:
        ngrams: N-grams of every document, repeats allowed; cut by the same windows as those of the items.
        index: The items.

    Returns:
        The items; of equal shares, the longer item, then the one with the lower number.

    Example:
        >>> items = Shingles(np.array([1, 2, 3, 4, 9], np.uint64), np.array([0, 4, 5]))
        >>> pages = Shingles(np.array([7, 2, 3, 2, 1, 8, 8], np.uint64), np.array([0, 5, 7]))
        >>> found = find_overlaps(pages, index_items(items))
        >>> found.items.tolist(), found.fracs.tolist()
        ([0, -1], [0.75, 0.0])
    """
    items = np.full(ngrams.num_docs, NO_ITEM, dtype=np.int32)
    fracs = np.zeros(ngrams.num_docs, dtype=np.float32)
    if index.num_items and len(index.hashes):
        _find(
            ngrams.hashes, ngrams.offsets, index.hashes, index.offsets, index.items, index.sizes,
            index.sieve, items, fracs,
        )  # fmt: skip
    return Overlaps(items, fracs)


@kernel
def _find(hashes, offsets, known, starts, owners, sizes, sieve, items, fracs):
    mask = np.uint64((1 << _SIEVE_BITS) - 1)
    last_doc = np.full(len(known), -1, dtype=np.int64)  # a repeated n-gram counts once a document
    counts = np.zeros(len(sizes), dtype=np.int32)
    touched = np.empty(len(sizes), dtype=np.int32)
    for doc in range(len(offsets) - 1):
        num_touched = 0
        for i in range(offsets[doc], offsets[doc + 1]):
            low = hashes[i] & mask
            if not (sieve[low >> np.uint64(3)] >> (low & np.uint64(7))) & 1:
                continue
            place = np.searchsorted(known, hashes[i])
            if place == len(known) or known[place] != hashes[i] or last_doc[place] == doc:
                continue
            last_doc[place] = doc
            for entry in range(starts[place], starts[place + 1]):
                item = owners[entry]
                if counts[item] == 0:
                    touched[num_touched] = item
                    num_touched += 1
                counts[item] += 1
        for i in range(num_touched):
            item = touched[i]
            frac = np.float32(counts[item] / sizes[item])
            counts[item] = 0
            best = items[doc]
            if (
                frac > fracs[doc]
                or (frac == fracs[doc] and sizes[item] > sizes[best])
                or (frac == fracs[doc] and sizes[item] == sizes[best] and item < best)
            ):
                items[doc] = item
                fracs[doc] = frac
