"""Exact keys: the same text and only the same text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.exact import NOT_DUPLICATE, exact_keys, first_copies


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=20))
def test_keys_are_the_published_hash(texts):
    keys = exact_keys(pa.array(texts, pa.large_string()))
    for text, (high, low) in zip(texts, keys.tolist(), strict=True):
        assert (high << 64) | low == xxhash.xxh3_128_intdigest(text.encode())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=30), st.randoms(use_true_random=False))
def test_first_twin_is_the_lowest_ordinal_whatever_the_order(values, random):
    keys = np.array([[value % 2, value] for value in values], np.uint64).reshape(-1, 2)
    doc_indices = np.array(random.sample(range(100), len(values)), np.int64)
    kept_duplicates = first_copies(keys, doc_indices)
    for place, value in enumerate(values):
        first = min(
            o for o, other in zip(doc_indices.tolist(), values, strict=True) if other == value
        )
        assert kept_duplicates[place] == (NOT_DUPLICATE if first == doc_indices[place] else first)


def test_sliced_arrays_give_the_same_keys():
    texts = pa.array(["x", "one", "two"])
    assert (exact_keys(texts.slice(1)) == exact_keys(pa.array(["one", "two"]))).all()
