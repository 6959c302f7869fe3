"""Shares of sources and repeats of documents: sums, orders, and the named strategies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.mixture.budget import budget, stage_targets
from tonsai_pipeline.mixture.plan import plan
from tonsai_pipeline.mixture.shares import document_repeats, source_shares

SIZES = {"small": 1e3, "large": 1e6, "english": 1e6}
LANGUAGES = {"small": "khm", "large": "khm", "english": "eng"}
HALF = {"khm": 0.5, "eng": 0.5}


def divide(strategy: str, **options: float) -> dict[str, float]:
    weights = dict.fromkeys(SIZES, 1.0)
    return source_shares(SIZES, LANGUAGES, HALF, weights=weights, strategy=strategy, **options)


def test_fixed_weights_leave_size_aside() -> None:
    assert divide("fixed") == pytest.approx({"small": 0.25, "large": 0.25, "english": 0.5})


def test_temperature_one_is_by_size_and_a_high_one_is_even() -> None:
    assert divide("temperature", temperature=1)["small"] == pytest.approx(0.5 * 1e3 / 1.001e6)
    assert divide("temperature", temperature=100)["small"] == pytest.approx(0.25, rel=0.05)


def test_unimax_gives_the_small_source_its_cap_and_the_rest_to_the_large_one() -> None:
    found = divide("unimax", max_epochs=4)
    made = budget(
        {name: int(size) for name, size in SIZES.items()}, found, total_tokens=None, max_epochs=4
    )
    assert made.epochs["small"] == pytest.approx(4, rel=1e-3)
    assert made.total_tokens == pytest.approx(8e6, rel=0.01)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="'doremi' is unknown"):
        divide("doremi")


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["fixed", "temperature", "unimax"]))
def test_shares_sum_to_one_and_keep_the_languages(data: st.DataObject, strategy: str) -> None:
    names = [f"s{i}" for i in range(data.draw(st.integers(2, 8)))]
    languages = {name: "khm" if i % 2 else "eng" for i, name in enumerate(names)}
    sizes = {name: data.draw(st.floats(1e3, 1e9)) for name in names}
    weights = {name: data.draw(st.floats(0.01, 10)) for name in names}
    khmer = data.draw(st.floats(0.05, 0.95))
    found = source_shares(
        sizes, languages, {"khm": khmer, "eng": 1 - khmer}, weights=weights, strategy=strategy,
        temperature=data.draw(st.floats(0.5, 10)),
    )  # fmt: skip
    assert sum(found.values()) == pytest.approx(1)
    assert sum(found[n] for n in names if languages[n] == "khm") == pytest.approx(khmer)
    assert min(found.values()) > 0


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2**31))
def test_a_random_recipe_is_realised_within_half_a_point(data: st.DataObject, seed: int) -> None:
    """From weights to the order of documents: realised token shares stay within 0.5 points."""
    names = [f"s{i}" for i in range(data.draw(st.integers(2, 6)))]
    languages = {name: "khm" if i % 2 else "eng" for i, name in enumerate(names)}
    generator = np.random.default_rng(seed)
    owner = generator.integers(0, len(names), 4_000)
    tokens = generator.integers(20, 2_000, 4_000)
    sizes = np.bincount(owner, tokens, len(names))
    available = {name: int(size) for name, size in zip(names, sizes, strict=True)}
    khmer = data.draw(st.floats(0.1, 0.9))
    wanted = source_shares(
        available, languages, {"khm": khmer, "eng": 1 - khmer},
        weights={name: data.draw(st.floats(0.1, 5)) for name in names},
        strategy=data.draw(st.sampled_from(["fixed", "temperature", "unimax"])),
    )  # fmt: skip
    made = budget(
        available, wanted, total_tokens=None, max_epochs=data.draw(st.floats(0.5, 6)),
        groups=languages, on_shortage="redistribute",
    )  # fmt: skip
    run = plan(tokens, owner, [made.target_tokens[name] for name in names], seed=seed)
    realised = run.realised_tokens[0] / run.realised_tokens.sum()
    for index, name in enumerate(names):
        assert abs(realised[index] - made.shares[name]) < 0.005
    spoken = sum(realised[i] for i, name in enumerate(names) if languages[name] == "khm")
    assert abs(spoken - khmer) < 0.005


def test_repeats_multiply_and_a_score_on_a_border_belongs_above_it() -> None:
    repeats = document_repeats(
        np.array([0.2, 0.5, 0.9]),
        np.array([1, 2, 1000]),
        borders=[0.5],
        bucket_repeats=[0, 2],
        rehydrate={1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1},
    )
    assert repeats.tolist() == [0, 4, 2]


def test_without_rules_every_document_is_read_alike() -> None:
    repeats = document_repeats(
        np.zeros(3), np.ones(3, int), borders=(), bucket_repeats=(), rehydrate={}
    )
    assert repeats.tolist() == [1, 1, 1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=6), st.integers(1, 4))
def test_stages_divide_a_target_without_losing_a_token(targets: list[int], num_stages: int) -> None:
    names = {str(i): target for i, target in enumerate(targets)}
    stages = [(1 / num_stages, dict.fromkeys(names, 1 / len(names)))] * num_stages
    divided = stage_targets(names, stages)
    assert {name: sum(parts) for name, parts in divided.items()} == names
