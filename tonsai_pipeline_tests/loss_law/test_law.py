"""A law is found again from what it made, its intervals are honest, and where nothing follows nothing is said."""

from __future__ import annotations

import numpy as np
import pytest

from tonsai_pipeline.loss_law.law import Run, fit

R = 15.0


def bits(
    n: float,
    u: float,
    passes: float = 1.0,
    penalty: float = 2e-3,
    start: float = 0.0,
    growth: float = 0.0,
) -> float:
    text = u * (1.0 + R * (1.0 - np.exp(-(passes - 1.0) / R))) + start
    by_text = 0.5 * (text / 2e5) ** (-0.3 * (n / 2.4e5) ** growth)
    return 0.5 + 30 / n**0.4 + by_text + penalty * (passes - 1.0) * n / u


def runs(
    seed: int = 0,
    *,
    noise: float = 0.0,
    sizes: tuple[float, ...] = (1.2e5, 2.4e5, 4.8e5),
    start: float = 0.0,
    growth: float = 0.0,
) -> list[Run]:
    places = [(n, u, 1.0) for n in sizes for u in (1e5, 2e5, 4e5)]
    places += [(n, 1e5, 3.0) for n in sizes] + [(sizes[1], u, 3.0) for u in (2e5, 4e5)]
    places += [(sizes[1], 2e5, 1.0)] * 2
    errors = 1.0 + noise * np.random.default_rng(seed).standard_normal(len(places))
    return [
        Run(n, u, passes * u, bits(n, u, passes, start=start, growth=growth) * error)
        for (n, u, passes), error in zip(places, errors, strict=True)
    ]


TARGET = Run(9.6e5, 8e5, 9.6e5)
TRUTH = bits(9.6e5, 8e5, 1.2)


def test_without_noise_the_law_is_found_again() -> None:
    law = fit(runs())
    assert law.residual < 0.002
    found = law.predict(TARGET)
    assert found.value == pytest.approx(TRUTH, rel=0.005)
    assert found.low <= TRUTH <= found.high
    for name, exponent in (("size", 0.4), ("text", 0.3)):
        value, is_resolved = law.exponent(name)
        assert value.value == pytest.approx(exponent, rel=0.35)
        assert is_resolved


def test_most_intervals_hold_what_comes() -> None:
    noise, hits, widths = 0.004, 0, []
    for seed in range(12):
        found = fit(runs(seed, noise=noise), seed=seed).predict(TARGET)
        came = TRUTH * (1.0 + noise * np.random.default_rng(1000 + seed).standard_normal())
        hits += found.low <= came <= found.high
        widths.append((found.high - found.low) / found.value)
    # 12 draws at 80 %: 9.6, standard deviation 1.4.
    assert 7 <= hits <= 12
    # Wide enough to be honest, and narrow enough to be of use.
    assert np.mean(widths) < 0.045


def test_a_ladder_that_begins_before_the_law_is_told_and_followed() -> None:
    start = 4e5
    law = fit(runs(noise=0.002, start=start))
    assert 0 < law.start.low < start < 2.5 * law.start.high
    assert law.predict(TARGET).value == pytest.approx(bits(9.6e5, 8e5, 1.2, start=start), rel=0.015)
    assert fit(runs(noise=0.002)).start.low == 0


def test_text_that_gains_larger_networks_more_is_told() -> None:
    made = runs(noise=0.002, growth=0.3)
    truth = bits(9.6e5, 8e5, 1.2, growth=0.3)
    assert fit(made).predict(TARGET).value == pytest.approx(truth, rel=0.02)
    assert truth < 0.96 * TRUTH  # what a law without it says


def test_more_noise_and_fewer_sizes_widen_the_interval() -> None:
    def width(made: list[Run]) -> float:
        found = fit(made).predict(TARGET)
        return found.high - found.low

    usual = width(runs(noise=0.004))
    assert width(runs(noise=0.02)) > 1.5 * usual
    # Two sizes lie on a curve of any exponent.
    assert width(runs(noise=0.004, sizes=(1.2e5, 2.4e5))) > 1.25 * usual
    assert not fit(runs(noise=0.004, sizes=(1.2e5, 2.4e5))).exponent("size")[1]


def test_passes_that_hurt_are_seen() -> None:
    law = fit(runs())
    once, often = (law.predict(Run(4.8e5, 1e5, p * 1e5)).value for p in (1.0, 3.0))
    assert often - once == pytest.approx(bits(4.8e5, 1e5, 3.0) - bits(4.8e5, 1e5), abs=0.01)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (runs()[:6], "6 runs cannot resolve the 5 parameters"),
        ([Run(1e5, u * 1e5, u * 1e5, 2.0 - 0.1 * u) for u in range(1, 9)], "the same sizes"),
        ([Run(n * 1e5, 1e5, 1e5, 2.0 - 0.1 * n) for n in range(1, 9)], "the same amounts of text"),
    ],
)
def test_runs_from_which_nothing_follows_are_refused(made: list[Run], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fit(made)


def test_passes_beyond_the_ladder_are_not_predicted() -> None:
    with pytest.raises(
        ValueError, match=r"9\.0 passes are to be predicted from runs of at most 3\.0"
    ):
        fit(runs()).predict(Run(9.6e5, 1e5, 9e5))
    with pytest.raises(ValueError, match=r"2\.0 passes"):
        fit([run for run in runs() if run.passes == 1.0]).predict(Run(9.6e5, 1e5, 2e5))
