"""The points of a pilot: each once, the middle with its seeds and screens, within a budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonsai_pipeline.loss_law.family import Sizes, scale
from tonsai_pipeline.loss_law.ladder import Point, center_of, ladder, within
from tonsai_pipeline.planner.network import shape_of
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.schema import NAME_PATTERN

SHARES = st.lists(st.sampled_from([0.0625, 0.1, 0.125, 0.25, 0.5, 1.0]), min_size=2, unique=True)
SCREENS = ["lr x2", "English 20 %"]


@given(SHARES, SHARES, st.lists(st.sampled_from([0.25, 3.0, 8.0]), unique=True), st.integers(1, 4))
def test_every_point_stands_once_and_the_middle_has_seeds_and_screens(
    sizes: list[float], texts: list[float], others: list[float], seeds: int
) -> None:
    points = ladder(sizes, texts, [1.0, *others], num_seeds=seeds, screens=SCREENS)
    assert len({point.name for point in points}) == len(points)
    center = center_of(points)
    own = [p for p in points if (p.size, p.text, p.length) == (center.size, center.text, 1.0)]
    assert {point.seed for point in own if point.of_ladder} == set(range(seeds))
    assert [point.screen for point in own if point.screen] == SCREENS
    assert {(p.size, p.text) for p in points if p.length == 1.0} == {
        (size, text) for size in sizes for text in texts
    }


def test_names_are_fit_for_partitions() -> None:
    import re

    for point in ladder([0.1, 0.2], [0.5, 1], [1, 4], num_seeds=2, screens=SCREENS):
        assert re.fullmatch(NAME_PATTERN.replace("{0,62}", "*"), point.name)


@given(st.floats(0.0, 40.0))
def test_a_budget_is_kept_by_leaving_out_the_dearest(budget: float) -> None:
    points = ladder([0.1, 0.2, 0.4], [0.1, 0.2, 0.4], [1, 4], num_seeds=2, screens=SCREENS)
    costs = [100 * point.size * point.text * point.length for point in points]
    kept, out = within(points, costs, budget)
    of = dict(zip(points, costs, strict=True))
    assert sorted(map(points.index, [*kept, *out])) == list(range(len(points)))
    assert sum(of[point] for point in kept) <= budget + 1e-9
    if out:
        assert sum(of[point] for point in kept) + max(of[point] for point in out) > budget
    center = center_of(points)
    if kept and center not in kept:
        assert all(point.screen == "" for point in kept)


SHIPPED = ModelConfig(
    architecture="qwen3", num_layers=24, hidden_size=1280, num_heads=10, num_kv_heads=5
)


@pytest.mark.parametrize("frac", [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])
def test_a_smaller_network_is_of_the_same_family_and_has_its_share_of_weights(frac: float) -> None:
    sizes = Sizes(*(getattr(SHIPPED, name) for name in Sizes._fields))
    small = SHIPPED.model_copy(update=scale(sizes, frac)._asdict())
    ModelConfig.model_validate(small.model_dump())
    weights = [
        shape_of(one, vocab_size=8, seq_len=2048).active_weights - 8 * one.hidden_size
        for one in (small, SHIPPED)
    ]
    assert weights[0] / weights[1] == pytest.approx(frac, rel=0.15)
    aspect = [one.hidden_size / one.num_layers for one in (small, SHIPPED)]
    assert aspect[0] / aspect[1] == pytest.approx(1.0, rel=0.25)
    heads = [one.hidden_size / one.num_heads for one in (small, SHIPPED)]
    assert heads[0] / heads[1] == pytest.approx(1.0, rel=0.35)


def test_a_point_says_what_it_is() -> None:
    assert Point(0.25, 0.5, 3.0, seed=2).name == "size-0.25_text-0.5_length-3_seed-2"
    with pytest.raises(ValueError, match="share of a network"):
        scale(Sizes(2, 64, 2, None, None), 1.5)
