"""The order of a run: a permutation each epoch, true shares in every window, nothing but the seed decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.mixture.plan import Plan, plan, random_keys

Ints = npt.NDArray[np.int64]


def corpus(seed: int, num_docs: int = 3_000, num_sources: int = 3) -> tuple[Ints, Ints]:
    """Documents of 1..200 tokens spread over sources."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 200, num_docs), rng.integers(0, num_sources, num_docs)


def sizes_of(tokens: Ints, source: Ints, num_sources: int) -> Ints:
    return np.bincount(source, weights=tokens, minlength=num_sources).astype(np.int64)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(0.1, 3.5), min_size=1, max_size=5))
def test_every_whole_epoch_reads_each_document_once_and_the_last_one_a_part(
    seed: int, epochs: list[float]
) -> None:
    tokens, source = corpus(seed % 1000, num_docs=200, num_sources=len(epochs))
    sizes = sizes_of(tokens, source, len(epochs))
    run = plan(tokens, source, (sizes * epochs).astype(int) * (sizes > 0), seed=seed)
    for index, wanted in enumerate(epochs):
        mine = source[run.order] == index
        for epoch in range(int(wanted) + 1):
            read = run.order[mine & (run.epoch == epoch)]
            assert len(set(read.tolist())) == len(read)
            if epoch < int(wanted) - 1:
                assert len(read) == np.sum(source == index)
        assert (np.diff(run.epoch[mine]) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6))
def test_realised_tokens_miss_the_target_by_half_a_document_at_most(
    seed: int, weights: list[float]
) -> None:
    tokens, source = corpus(seed % 1000, num_sources=len(weights))
    target = (np.array(weights) * 40_000).astype(np.int64) + 1
    run = plan(tokens, source, target, seed=seed)
    assert (np.abs(run.realised_tokens[0] - target) <= 100).all()
    assert np.bincount(
        source[run.order], weights=tokens[run.order], minlength=len(weights)
    ).tolist() == (run.realised_tokens[0].tolist())


def test_every_window_of_the_run_has_the_shares() -> None:
    tokens, source = corpus(5, num_docs=20_000)
    target = np.array([600_000, 300_000, 100_000])
    run = plan(tokens, source, target, seed=9)
    position = np.cumsum(tokens[run.order])
    for start in range(0, 900_000, 50_000):
        inside = (position > start) & (position <= start + 100_000)
        share = (
            np.bincount(source[run.order[inside]], weights=tokens[run.order[inside]], minlength=3)
            / 100_000
        )
        assert np.abs(share - target / 1_000_000).max() < 0.005


def test_the_order_depends_on_the_seed_and_on_nothing_else() -> None:
    tokens, source = corpus(1)
    one, same, other = (plan(tokens, source, [50_000] * 3, seed=s) for s in (3, 3, 4))
    assert one.order.tolist() == same.order.tolist()
    assert one.order.tolist() != other.order.tolist()


def test_epochs_are_permuted_anew() -> None:
    tokens = np.full(500, 10)
    run = plan(tokens, np.zeros(500, int), [15_000], seed=2)
    first, second, third = (run.order[run.epoch == e].tolist() for e in range(3))
    assert sorted(first) == sorted(second) == sorted(third) == list(range(500))
    agreements = sum(a == b for a, b in zip(first, second, strict=True))
    assert agreements < 10


def test_permutations_have_no_slope() -> None:
    tokens = np.full(2_000, 1)
    run = plan(tokens, np.zeros(2_000, int), [2_000], seed=8)
    slope = np.corrcoef(run.order, np.arange(2_000))[0, 1]
    assert abs(slope) < 0.08


def test_keys_keep_the_old_documents_in_their_order_when_new_ones_come() -> None:
    old = random_keys(0, items=np.arange(300, dtype=np.uint64))
    new = np.concatenate([random_keys(1, items=np.arange(50, dtype=np.uint64)), old])
    before = plan(np.ones(300), np.zeros(300), [300], seed=6, keys=old)
    after = plan(np.ones(350), np.zeros(350), [350], seed=6, keys=new)
    assert [i - 50 for i in after.order.tolist() if i >= 50] == before.order.tolist()


def test_repeats_raise_a_document_within_its_source_and_leave_the_source_its_share() -> None:
    tokens = np.full(400, 10)
    repeats = np.where(np.arange(400) < 100, 3.0, 1.0)
    run = plan(tokens, np.zeros(400, int), [40_000], seed=4, repeats=repeats)
    counts = np.bincount(run.order, minlength=400)
    assert run.realised_tokens.tolist() == [[40_000]]
    assert counts[:100].mean() == pytest.approx(3 * counts[100:].mean(), rel=0.02)
    assert counts[:100].max() - counts[:100].min() <= 2


def test_stages_change_the_shares_and_go_on_where_the_stage_before_left() -> None:
    tokens = np.full(1_000, 10)
    source = np.repeat([0, 1], 500)
    run = plan(tokens, source, [[3_000, 1_000], [1_000, 3_000]], seed=7)
    assert run.realised_tokens.tolist() == [[3_000, 1_000], [1_000, 3_000]]
    assert (np.diff(run.stage) >= 0).all()
    assert len(set(run.order.tolist())) == len(run.order), "800 of 1,000 documents: none twice"


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.lists(st.integers(0, 60_000), min_size=3, max_size=3), min_size=1, max_size=4),
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 6.0]), min_size=4, max_size=4),
)
def test_every_stage_of_a_random_run_has_its_shares_whatever_the_repeats(
    seed: int, targets: list[list[int]], ratios: list[float]
) -> None:
    tokens, source = corpus(seed % 1000)
    repeats = np.array(ratios)[np.arange(len(tokens)) % len(ratios)]
    run = plan(tokens, source, targets, seed=seed, repeats=repeats)
    # A document that lies across the end of a stage is counted on one side: half of it at each end.
    assert (np.abs(run.realised_tokens - np.array(targets)) <= 200).all()
    ends = np.abs(run.realised_tokens.sum(axis=0) - np.sum(targets, axis=0))
    assert (ends <= 100).all()
    if len(run.order):
        assert (np.diff(run.stage) >= 0).all()


def test_a_source_without_target_is_not_read() -> None:
    run = plan([5, 5], [0, 1], [5, 0], seed=0)
    assert run.order.tolist() == [0]


def test_empty_targets_give_an_empty_run() -> None:
    run: Plan = plan([], [], [0, 0], seed=0)
    assert len(run.order) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0], [0, 0], [1]), "has 0 tokens"),
        (([1, 1], [0, 1], [1]), "source indices must be in 0..0"),
        (([1], [0], [1, 1]), "source 1 is to give 1 tokens and has no documents"),
        (([1], [0, 0], [1]), "one entry a document"),
        (([1], [0], [-1]), "must not be negative"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(*arguments, seed=0)


def test_repeats_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="repeats must be positive"):
        plan([1], [0], [1], seed=0, repeats=[0.0])
