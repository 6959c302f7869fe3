"""Learning rates follow their closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.recipe.train import ScheduleConfig
from tonsai_pipeline.train.loop.schedule import learning_rate

WSD = ScheduleConfig(warmup_frac=0.1, decay_frac=0.2, min_lr_frac=0.1)
COSINE = ScheduleConfig(shape="cosine", warmup_frac=0.1, min_lr_frac=0.1)


@pytest.mark.parametrize(
    ("schedule", "tokens", "expected"),
    [
        (WSD, 0, 0.0),
        (WSD, 50, 0.5),
        (WSD, 100, 1.0),
        (WSD, 800, 1.0),
        (WSD, 900, 0.55),
        (WSD, 1000, 0.1),
        (COSINE, 100, 1.0),
        (COSINE, 550, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.5))),
        (COSINE, 1000, 0.1),
        (ScheduleConfig(warmup_frac=0.0, decay_frac=0.0), 1000, 1.0),
    ],
)
def test_rates_at_known_places(schedule: ScheduleConfig, tokens: int, expected: float) -> None:
    assert learning_rate(tokens, 1000, peak=1.0, schedule=schedule) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.sampled_from(["wsd", "cosine"]),
    warmup=st.floats(0, 0.5),
    decay=st.floats(0, 0.5),
    floor=st.floats(0, 1),
    tokens=st.integers(-5, 2000),
)
def test_a_rate_never_leaves_its_bounds(shape, warmup, decay, floor, tokens) -> None:
    schedule = ScheduleConfig(shape=shape, warmup_frac=warmup, decay_frac=decay, min_lr_frac=floor)
    rate = learning_rate(tokens, 1000, peak=3e-4, schedule=schedule)
    assert 0.0 <= rate <= 3e-4 * (1 + 1e-12)


def test_a_run_of_no_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tokens"):
        learning_rate(0, 0, peak=1.0, schedule=WSD)
