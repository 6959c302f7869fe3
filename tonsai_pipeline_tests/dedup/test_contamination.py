"""Which documents hold how much of which evaluation item, against the same by Python sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.contamination import NO_ITEM, find_overlaps, index_items
from tonsai_pipeline.dedup.shingles import Shingles

#: Few values, some of which differ only above the bits that the sieve looks at.
HASHES = st.sampled_from([n + (high << 40) for n in range(12) for high in (0, 1)])
TEXTS = st.lists(st.lists(HASHES, max_size=12), max_size=8)


def shingles(texts: list[list[int]]) -> Shingles:
    flat = [value for text in texts for value in text]
    ends = np.cumsum([0, *(len(text) for text in texts)])
    return Shingles(np.array(flat, np.uint64), ends.astype(np.int64))


@settings(max_examples=200, deadline=None)
@given(items=TEXTS, documents=TEXTS)
def test_the_item_is_the_one_with_the_largest_share(items, documents):
    found = find_overlaps(shingles(documents), index_items(shingles(items)))
    for doc, said in enumerate(documents):
        shares = [
            (np.float32(len(set(said) & set(item)) / len(set(item))), len(set(item)), -number)
            for number, item in enumerate(items)
            if set(said) & set(item)
        ]
        if not shares:
            assert (found.items[doc], found.fracs[doc]) == (NO_ITEM, 0)
            continue
        share, _, number = max(shares)
        assert (found.items[doc], found.fracs[doc]) == (-number, share)


def test_an_n_gram_that_a_document_repeats_counts_once():
    found = find_overlaps(shingles([[1, 1, 1, 2]]), index_items(shingles([[1, 2, 3, 4]])))
    assert found.fracs.tolist() == [0.5]


def test_without_items_nothing_is_found():
    found = find_overlaps(shingles([[1], []]), index_items(shingles([])))
    assert found.items.tolist() == [NO_ITEM, NO_ITEM]
    found = find_overlaps(shingles([[1]]), index_items(shingles([[], []])))
    assert found.items.tolist() == [NO_ITEM]
