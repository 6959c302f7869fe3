"""Token targets: shares kept exactly, caps never passed, errors that say what would fit."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.mixture.budget import Budget, budget, effective_tokens, round_to_total

SIZES = {"news": 1_000, "web": 9_000, "books": 5_000}
SHARES = {"news": 0.2, "web": 0.3, "books": 0.5}


@st.composite
def recipes(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, float], dict[str, str], float]:
    """Random sources with sizes, shares and languages, and an epoch cap."""
    num_sources = draw(st.integers(1, 8))
    names = [f"s{i}" for i in range(num_sources)]
    sizes = {name: draw(st.integers(10**6, 10**9)) for name in names}
    weights = {name: draw(st.floats(0.001, 1.0)) for name in names}
    total = sum(weights.values())
    groups = {name: draw(st.sampled_from(["khm", "eng"])) for name in names}
    return sizes, {n: w / total for n, w in weights.items()}, groups, draw(st.floats(0.1, 20))


def test_without_a_total_the_run_is_as_long_as_the_scarcest_source_allows() -> None:
    made = budget(SIZES, SHARES, total_tokens=None, max_epochs=4)
    assert made.total_tokens == 20_000
    assert made.target_tokens == {"news": 4_000, "web": 6_000, "books": 10_000}
    assert made.epochs["news"] == 4.0
    assert made.short_sources == ()


def test_a_total_too_long_names_the_scarce_source_and_the_feasible_total() -> None:
    with pytest.raises(
        ValueError, match=r"'news' lasts for 20,000 tokens.*lower total_tokens to 20,000"
    ):
        budget(SIZES, SHARES, total_tokens=20_001, max_epochs=4)


def test_the_advice_of_the_error_is_right() -> None:
    with pytest.raises(ValueError, match="does not fit") as caught:
        budget(SIZES, SHARES, total_tokens=50_000, max_epochs=4)
    advice = str(caught.value)
    total = int(re.search(r"lower total_tokens to ([\d,]+)", advice)[1].replace(",", ""))  # type: ignore[index]
    epochs = float(re.search(r"raise max_epochs to ([\d.]+)", advice)[1])  # type: ignore[index]
    assert budget(SIZES, SHARES, total_tokens=total, max_epochs=4).total_tokens == total
    assert budget(SIZES, SHARES, total_tokens=50_000, max_epochs=epochs).total_tokens == 50_000


def test_a_short_source_leaves_its_rest_to_its_own_language_only() -> None:
    sizes = {"udhr": 10, "web": 10_000, "abc": 10_000}
    shares = {"udhr": 0.3, "web": 0.3, "abc": 0.4}
    languages = {"udhr": "khm", "web": "khm", "abc": "eng"}
    made = budget(
        sizes,
        shares,
        total_tokens=10_000,
        max_epochs=2,
        groups=languages,
        on_shortage="redistribute",
    )
    assert made.target_tokens == {"udhr": 20, "web": 5_980, "abc": 4_000}
    assert made.short_sources == ("udhr",)


def test_a_language_that_cannot_fill_its_share_is_an_error_even_when_sisters_may_help() -> None:
    with pytest.raises(ValueError, match="group 'khm' lasts for"):
        budget(
            {"udhr": 10, "abc": 10_000},
            {"udhr": 0.5, "abc": 0.5},
            total_tokens=1_000,
            max_epochs=4,
            groups={"udhr": "khm", "abc": "eng"},
            on_shortage="redistribute",
        )


def test_the_advice_names_no_single_cap_where_caps_differ() -> None:
    caps = {"news": 1.0, "web": 4.0, "books": 4.0}
    with pytest.raises(ValueError, match=r"raise the epochs of what is short by 2\.00 times"):
        budget(SIZES, SHARES, total_tokens=10_000, max_epochs=caps)


def test_a_cap_may_differ_by_source() -> None:
    made = budget(SIZES, SHARES, total_tokens=None, max_epochs={"news": 1, "web": 9, "books": 9})
    assert made.target_tokens["news"] == 1_000


def test_a_source_without_text_is_named() -> None:
    with pytest.raises(ValueError, match=r"source 'web' is to give 30\.00% of all tokens"):
        budget({"news": 5, "books": 5}, SHARES, total_tokens=None, max_epochs=4)


@pytest.mark.parametrize(
    "shares", [{"news": 0.5}, {"news": 1.5, "web": -0.5}, {"news": float("nan")}]
)
def test_shares_that_are_no_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares must"):
        budget(SIZES, shares, total_tokens=None, max_epochs=4)


@settings(max_examples=200, deadline=None)
@given(recipes())
def test_strict_targets_keep_every_share_to_a_token_and_every_cap(
    recipe: tuple[dict[str, int], dict[str, float], dict[str, str], float],
) -> None:
    sizes, shares, _, max_epochs = recipe
    made = budget(sizes, shares, total_tokens=None, max_epochs=max_epochs)
    _check_sums_and_caps(made, sizes, max_epochs)
    for name, share in shares.items():
        assert (
            abs(made.target_tokens[name] - share * made.total_tokens)
            <= 1 + 1e-6 * made.total_tokens
        )


@settings(max_examples=200, deadline=None)
@given(recipes(), st.floats(0.01, 1.0))
def test_redistribution_keeps_languages_exact_and_never_lowers_an_unshort_source(
    recipe: tuple[dict[str, int], dict[str, float], dict[str, str], float], part: float
) -> None:
    sizes, shares, groups, max_epochs = recipe
    rules: dict[str, Any] = {
        "max_epochs": max_epochs,
        "groups": groups,
        "on_shortage": "redistribute",
    }
    longest = budget(sizes, shares, total_tokens=None, **rules)
    made = budget(sizes, shares, total_tokens=int(part * longest.total_tokens), **rules)
    _check_sums_and_caps(made, sizes, max_epochs)
    slack = len(sizes) + 1e-6 * made.total_tokens
    for language in set(groups.values()):
        given_tokens = sum(made.target_tokens[n] for n in sizes if groups[n] == language)
        wanted = sum(shares[n] for n in sizes if groups[n] == language) * made.total_tokens
        assert abs(given_tokens - wanted) <= slack
    for name in sizes:
        if name not in made.short_sources:
            assert made.target_tokens[name] >= shares[name] * made.total_tokens - slack


def _check_sums_and_caps(made: Budget, sizes: dict[str, int], max_epochs: float) -> None:
    assert sum(made.target_tokens.values()) == made.total_tokens
    for name, target in made.target_tokens.items():
        assert target <= sizes[name] * max_epochs * (1 + 1e-6) + 1


def test_repeats_are_worth_less_and_less() -> None:
    worth = [effective_tokens(1_000, epochs) for epochs in (0, 0.5, 1, 2, 4, 16, 64, 1_000)]
    assert worth[:3] == [0, 500, 1_000]
    assert worth == sorted(worth)
    gains = [
        (b - a) / (e - d)
        for a, b, d, e in zip(worth[2:], worth[3:], (1, 2, 4, 16), (2, 4, 16, 64), strict=False)
    ]
    assert gains == sorted(gains, reverse=True)
    assert worth[-1] == pytest.approx(1_000 * 16.39)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_rounding_moves_nobody_by_a_whole_token(values: list[float]) -> None:
    exact = {str(i): value for i, value in enumerate(values)}
    total = round(sum(values))
    rounded = round_to_total(exact, total)
    assert sum(rounded.values()) == total
    assert all(abs(rounded[name] - exact[name]) < 1 + 1e-6 for name in exact)
