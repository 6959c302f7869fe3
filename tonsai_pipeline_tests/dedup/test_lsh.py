"""Bands: keys, buckets and the curve they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.lsh import (
    Wanted,
    band_keys,
    bucket,
    choose_bands,
    collision_probability,
)


def test_a_band_key_changes_with_every_row_and_with_the_band():
    values = np.zeros((9, 8), np.uint32)
    values[np.arange(1, 9), np.arange(8)] = 1
    keys = band_keys(values, num_bands=2, rows_per_band=4)
    assert len(set(keys[:5, 0].tolist())) == 5
    assert len(set(keys[4:, 1].tolist())) == 5
    assert not set(keys[:, 0].tolist()) & set(keys[:, 1].tolist())


def test_rows_in_another_order_are_another_band():
    keys = band_keys(np.array([[1, 2], [2, 1]], np.uint32), num_bands=1, rows_per_band=2)
    assert keys[0, 0] != keys[1, 0]


def test_bands_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="5 bands of 8 rows do not fit 32"):
        band_keys(np.zeros((1, 32), np.uint32), num_bands=5, rows_per_band=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=40, unique=True))
def test_buckets_are_the_groups_of_two_or_more(entries):
    keys = np.array([key for key, _ in entries], np.uint64)
    docs = np.array([doc for _, doc in entries], np.int64)
    found = bucket(keys, docs)
    got = [
        found.members[found.offsets[i] : found.offsets[i + 1]].tolist()
        for i in range(found.num_buckets)
    ]
    groups: dict[int, list[int]] = {}
    for key, doc in sorted(entries):
        groups.setdefault(key, []).append(doc)
    assert got == [sorted(group) for _, group in sorted(groups.items()) if len(group) > 1]


_KEYS = st.lists(
    st.one_of(st.integers(0, 30), st.integers(2**64 - 30, 2**64 - 1), st.integers(0, 2**64 - 1)),
    max_size=30,
)


@settings(max_examples=500, deadline=None)
@given(_KEYS, _KEYS, st.integers(0, 30))
def test_meeting_is_membership(run, wanted, num_shared):
    run_, wanted_ = (
        np.array(sorted(keys), np.uint64) for keys in (run + wanted[:num_shared], wanted)
    )
    met = Wanted.of(wanted_).met_by(run_)
    assert met.tolist() == np.flatnonzero(np.isin(run_, wanted_)).tolist()


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8, 0.9])
def test_the_curve_is_what_random_signatures_do(jaccard):
    rng = np.random.default_rng(5)
    left = rng.integers(0, 2**32, (4000, 128), dtype=np.uint32)
    agree = rng.random((4000, 128)) < jaccard
    right = np.where(agree, left, rng.integers(0, 2**32, (4000, 128), dtype=np.uint32))
    shape = {"num_bands": 16, "rows_per_band": 8}
    met = (band_keys(left, **shape) == band_keys(right, **shape)).any(axis=1).mean()
    assert abs(met - collision_probability(jaccard, **shape)) < 0.03


def test_chosen_bands_find_most_pairs_at_the_threshold():
    bands, rows = choose_bands(128, 0.8)
    assert bands * rows <= 128
    assert collision_probability(0.8, num_bands=bands, rows_per_band=rows) > 0.8
    balanced = choose_bands(128, 0.8, false_negative_weight=0.5)
    assert collision_probability(0.8, num_bands=balanced[0], rows_per_band=balanced[1]) < 0.5
