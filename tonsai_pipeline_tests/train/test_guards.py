"""A jump of the loss is seen, an odd batch is not, and a new level is learnt."""

from __future__ import annotations

import math
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.recipe.train import GuardConfig
from tonsai_pipeline.train.callbacks.guards import GuardState, spike_limit, watch

WINDOW = 32


def section(**changes) -> GuardConfig:
    settings = {"spike_window_steps": WINDOW, "spike_steps": 3, "max_skipped_steps": 4}
    return GuardConfig.model_validate({**settings, **changes})


def alarms(losses: list[float], **changes) -> list[tuple[int, str, int]]:
    """(step, kind, steps) of each alarm; a loss that is no number was not applied."""
    state, found = GuardState(), []
    for step, loss in enumerate(losses):
        applied = math.isfinite(loss)
        state, alarm = watch(section(**changes), state, loss=loss, applied=applied)
        if alarm is not None:
            found.append((step, alarm.kind, alarm.num_steps))
    return found


def noisy(num: int, level: float = 4.0, seed: int = 0) -> list[float]:
    generator = random.Random(seed)
    return [level + generator.gauss(0.0, 0.05) for _ in range(num)]


def test_a_jump_that_lasts_is_a_spike_once() -> None:
    assert alarms([*noisy(20), *noisy(20, 6.0)]) == [(22, "spike", 3)]


def test_one_odd_batch_is_no_spike() -> None:
    assert alarms([*noisy(20), 9.0, *noisy(5), 9.0, 9.0, *noisy(20)]) == []


def test_a_level_that_stays_becomes_the_yardstick() -> None:
    found = alarms([*noisy(20), *noisy(20, 6.0), *noisy(3, 9.0)])
    assert found == [(22, "spike", 3), (42, "spike", 3)]


def test_nothing_is_a_spike_before_a_quarter_of_the_window() -> None:
    assert alarms([*noisy(7), *[50.0] * 2]) == []


def test_an_ordinary_falling_loss_raises_no_alarm() -> None:
    falling = [
        2.5 + 8.0 * math.exp(-step / 60) + noise - 4 for step, noise in enumerate(noisy(600))
    ]
    assert alarms(falling, spike_steps=1, spike_deviations=8.0) == []


def test_a_loss_learnt_by_heart_may_vary_a_little() -> None:
    assert alarms([*[0.5] * 20, 0.52, 0.52, 0.52, 0.52], spike_deviations=6.0) == []


def test_steps_that_are_not_finite_are_logged_and_then_end_the_run() -> None:
    nan = math.nan
    assert alarms([*noisy(3), nan, 4.0, nan, nan, nan, nan]) == [
        (3, "skipped", 1),
        (5, "skipped", 1),
        (6, "skipped", 2),
        (7, "skipped", 3),
        (8, "broken", 4),
    ]


def test_with_rollback_steps_that_are_not_finite_are_a_spike() -> None:
    found = alarms([*noisy(3), *[math.nan] * 3], on_spike="rollback")
    assert found[-1] == (5, "spike", 3)


def test_spikes_may_be_ignored() -> None:
    assert alarms([*noisy(20), *noisy(20, 60.0)], on_spike="ignore") == []


@settings(max_examples=100, deadline=None)
@given(
    losses=st.lists(st.floats(1.0, 9.0), min_size=10, max_size=60),
    spikes=st.lists(st.floats(1e3, 1e9), max_size=2),
)
def test_spikes_do_not_move_the_yardstick(losses: list[float], spikes: list[float]) -> None:
    state = GuardState()
    for loss in losses:
        state, _ = watch(section(spike_deviations=1000.0), state, loss=loss, applied=True)
    before = spike_limit(section(), state.losses)
    for loss in spikes:
        state, _ = watch(section(), state, loss=loss, applied=True)
    assert spike_limit(section(), state.losses) == before


def test_the_state_survives_json_to_the_last_digit() -> None:
    state = GuardState()
    for loss in noisy(WINDOW + 5):
        state, _ = watch(section(), state, loss=loss, applied=True)
    assert len(state.losses) == WINDOW
    assert GuardState.from_json(orjson.loads(orjson.dumps(state))) == state


def test_the_limit_follows_the_median_and_not_the_mean() -> None:
    assert spike_limit(section(), (4.0,) * 9 + (400.0,)) == pytest.approx(4.0 * 1.06)
