"""Packing conserves every token, keeps documents whole, and is as full as the slow obvious way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.packing.concat import concat, in_order
from tonsai_pipeline.packing.rows import (
    Rows,
    length_histogram,
    position_coverage,
    stats_of,
)
from tonsai_pipeline.packing.windows import cut_windows

PACKERS = (best_fit, concat, in_order)
lengths_lists = st.lists(st.integers(1, 60), max_size=80)
row_lengths = st.integers(1, 24)


def tokens_of(rows: Rows) -> list[tuple[int, int]]:
    """Every (document, token) of the rows."""
    return [
        (segment.document, token)
        for index in range(rows.num_rows)
        for segment in rows.row(index)
        for token in range(segment.start, segment.start + segment.num_tokens)
    ]


def slow_best_fit(lengths: list[int], seq_len: int) -> list[list[int]]:
    """Best-fit decreasing by looking at every row; returns the lengths in each row."""
    items = []
    for length in lengths:
        items += [seq_len] * (length // seq_len) + ([length % seq_len] if length % seq_len else [])
    rows: list[list[int]] = []
    for item in sorted(items, reverse=True):
        fitting = [row for row in rows if sum(row) + item <= seq_len]
        if fitting:
            max(fitting, key=sum).append(item)
        else:
            rows.append([item])
    return rows


@pytest.mark.parametrize("pack", PACKERS)
@given(lengths=lengths_lists, seq_len=row_lengths)
@settings(max_examples=100, deadline=None)
def test_every_token_is_in_exactly_one_row(pack, lengths: list[int], seq_len: int) -> None:
    rows = pack(lengths, seq_len)
    expected = [(document, token) for document, n in enumerate(lengths) for token in range(n)]
    assert sorted(tokens_of(rows)) == expected
    assert rows.offsets[0] == 0
    assert rows.offsets[-1] == len(rows.num_tokens)
    for index in range(rows.num_rows):
        filled = sum(segment.num_tokens for segment in rows.row(index))
        assert 1 <= filled <= seq_len


@pytest.mark.parametrize("pack", [best_fit, in_order])
@given(lengths=lengths_lists, seq_len=row_lengths)
@settings(max_examples=100, deadline=None)
def test_only_documents_longer_than_a_row_are_cut(pack, lengths: list[int], seq_len: int) -> None:
    rows = pack(lengths, seq_len)
    stats = stats_of(rows, np.array(lengths, dtype=np.int64), seq_len)
    assert stats.num_cut == stats.num_long == sum(length > seq_len for length in lengths)


@given(lengths=lengths_lists, seq_len=row_lengths)
@settings(max_examples=200, deadline=None)
def test_best_fit_fills_rows_as_the_search_over_all_rows_does(
    lengths: list[int], seq_len: int
) -> None:
    rows = best_fit(lengths, seq_len)
    ours = [sum(s.num_tokens for s in rows.row(index)) for index in range(rows.num_rows)]
    # Of two rows with equal room either may be taken: rows may differ in what is in them, not in how full they are.
    assert sorted(ours) == sorted(map(sum, slow_best_fit(lengths, seq_len)))


@given(lengths=lengths_lists, seq_len=row_lengths)
@settings(max_examples=50, deadline=None)
def test_concat_pads_only_the_last_row(lengths: list[int], seq_len: int) -> None:
    rows = concat(lengths, seq_len)
    filled = [sum(s.num_tokens for s in rows.row(index)) for index in range(rows.num_rows)]
    assert all(one == seq_len for one in filled[:-1])
    assert tokens_of(rows) == [(d, token) for d, n in enumerate(lengths) for token in range(n)]


@given(lengths=lengths_lists, seq_len=row_lengths, seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_reordered_rows_are_the_same_rows(lengths: list[int], seq_len: int, seed: int) -> None:
    rows = best_fit(lengths, seq_len)
    order = np.random.default_rng(seed).permutation(rows.num_rows)
    again = rows.reordered(order)
    assert [again.row(new) for new in range(rows.num_rows)] == [rows.row(old) for old in order]


@pytest.mark.parametrize("pack", PACKERS)
def test_a_document_without_tokens_is_refused(pack) -> None:
    with pytest.raises(ValueError, match="document 1 has 0 tokens"):
        pack([3, 0], 8)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("seq_len", [0, (1 << 20) + 1])
def test_a_row_length_out_of_range_is_refused(pack, seq_len: int) -> None:
    with pytest.raises(ValueError, match="seq_len"):
        pack([3], seq_len)


def test_real_looking_lengths_fill_rows_to_99_9_percent() -> None:
    lengths = np.random.default_rng(1).lognormal(6, 1.2, 20_000).astype(np.int64) + 2
    stats = stats_of(best_fit(lengths, 2048), lengths, 2048)
    assert stats.fill_frac > 0.999
    assert stats.num_tokens == lengths.sum()


@given(
    lengths=st.lists(st.integers(1, 5000), max_size=300),
    max_rows=st.integers(1, 300),
    num_epochs=st.floats(0.1, 20),
)
@settings(max_examples=100, deadline=None)
def test_windows_hold_every_document_once_and_are_bounded(
    lengths: list[int], max_rows: int, num_epochs: float
) -> None:
    array = np.array(lengths, dtype=np.int64)
    borders = cut_windows(array, 64, max_rows=max_rows, num_epochs=num_epochs)
    assert borders[0] == 0
    assert borders[-1] == len(lengths)
    assert (np.diff(borders) > 0).all()
    for first, last in itertools.pairwise(borders.tolist()):
        assert array[first:last].sum() <= max_rows * 64 + array.max()


def test_no_window_holds_two_epochs_of_a_source_where_there_is_room() -> None:
    lengths = np.full(40_000, 64)
    borders = cut_windows(lengths, 1024, max_rows=10_000, num_epochs=4.0)
    assert len(borders) == 5


def test_position_coverage_falls_with_the_position() -> None:
    lengths = np.random.default_rng(0).integers(1, 2048, size=1000)
    coverage = position_coverage(length_histogram(lengths))
    for position, share in coverage:
        assert share == (lengths > position).mean()
