"""Whole documents: a language's other sources take over, and what cannot be met is named."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tonsai_pipeline.mixture.feasible import estimate_whole, shortfalls, take_over
from tonsai_pipeline.mixture.plan import plan


def test_a_source_of_one_long_document_leaves_its_share_to_its_language() -> None:
    tokens = np.array([100_000, *[50] * 4000, *[40] * 5000])
    source = np.array([0, *[1] * 4000, *[2] * 5000])
    targets = np.array([[31_200, 60_000, 108_800]])
    first = plan(tokens, source, targets, seed=1)
    assert first.realised_tokens[0, 0] == 0
    caps = np.array([400_000, 800_000, 800_000])
    moved = take_over(targets, first.realised_tokens, ["khm", "khm", "eng"], caps)
    realised = plan(tokens, source, moved, seed=1).realised_tokens[0]
    assert abs(realised[:2].sum() - 91_200) <= 50
    assert abs(realised[2] - 108_800) <= 40


def test_a_source_that_gives_too_much_takes_from_its_language() -> None:
    targets = np.array([[60, 100, 200]]) * 1000
    realised = np.array([[100, 100, 200]]) * 1000
    caps = np.array([10**9] * 3)
    found = take_over(targets, realised, ["khm", "khm", "eng"], caps)
    assert found.tolist() == [[60_000, 60_000, 200_000]]


def test_caps_and_single_sources_stay() -> None:
    targets = np.array([[300, 300, 400]])
    realised = np.array([[0, 300, 0]])
    found = take_over(targets, realised, ["khm", "khm", "eng"], np.array([900, 350, 900]))
    assert found.tolist() == [[300, 350, 400]]


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)), min_size=1, max_size=6),
    st.randoms(),
)
def test_nothing_changes_where_targets_are_met(
    pairs: list[tuple[int, int]], generator: object
) -> None:
    targets = np.array([[target for target, _ in pairs]])
    groups = ["khm" if index % 2 else "eng" for index in range(len(pairs))]
    found = take_over(targets, targets, groups, targets.sum(axis=0))
    assert found.tolist() == targets.tolist()


def test_what_cannot_be_met_is_named_with_what_would_be() -> None:
    targets = {"speech": 15_600, "news": 44_400, "books": 40_000}
    said = shortfalls(
        targets,
        {"speech": 0, "news": 44_400, "books": 40_000},
        {"speech": "khm", "news": "khm", "books": "eng"},
        {"speech": 1, "news": 900, "books": 500},
        {"speech": 48_000, "news": 44_400, "books": 40_000},
    )
    assert [line.partition(":")[0] for line in said] == ["speech", "khm", "eng"]
    assert "feasible is a share of 24.00% or more" in said[0]
    assert "52.61% of the run in place of 60.00%" in said[1]
    assert (
        shortfalls(targets, targets, {"speech": "khm", "news": "khm", "books": "eng"}, {}, {}) == []
    )


def test_the_estimate_knows_long_documents() -> None:
    available = {"speech": 48_000.0, "news": 44_400.0}
    found = estimate_whole(
        {"speech": 15_600, "news": 44_400}, available, {"speech": 1, "news": 900}
    )
    assert found == {"speech": 0, "news": 44_400}
