"""From log-odds to a score: calibration finds the optimum, and words and form share the say."""

from __future__ import annotations

import numpy as np
import pytest

from tonsai_pipeline.quality.classifier import Calibration, calibrate, evidence, raw_scores
from tonsai_pipeline.quality.evaluation import calibration_error


def sample(seed: int, num_docs: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds with known calibration: slope 0.5, offset -1, in a balanced world."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(2, 4, num_docs)
    chance = 1 / (1 + np.exp(-(0.5 * odds - 1)))
    good = generator.random(num_docs) < chance
    return odds, good


def test_calibration_finds_the_slope_and_offset_that_made_the_data() -> None:
    odds, good = sample(1)
    found = calibrate(odds, good)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert calibration_error(found.apply(odds), good) < 0.03
    assert calibration_error(Calibration().apply(odds), good) > 0.08


def test_calibration_of_a_perfect_separation_is_finite_and_keeps_the_order() -> None:
    odds = np.array([-9.0, -8.0, 7.0, 9.0])
    found = calibrate(odds, odds > 0)
    scores = found.apply(odds)
    assert np.isfinite([found.slope, found.offset]).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("odds_scale", [0.1, 1.0, 50.0])
def test_calibration_does_not_run_away_on_far_or_narrow_odds(odds_scale: float) -> None:
    odds, good = sample(2)
    scores = calibrate(odds * odds_scale + 12, good).apply(odds * odds_scale + 12)
    assert scores.std() > 0.01
    assert abs(scores[good].mean() + scores[~good].mean() - 1) < 0.1


def test_calibration_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="good and bad"):
        calibrate(np.ones(3), np.ones(3, dtype=bool))


def test_words_cannot_outvote_the_form_and_weigh_less_in_a_short_text() -> None:
    long, short = np.array([10**6, 10**6]), np.array([2, 2])
    sure = np.array([50.0, -50.0])
    assert evidence(sure, np.zeros(2), long) == pytest.approx([1.0, -1.0], abs=1e-4)
    assert np.abs(evidence(sure, np.zeros(2), short)).max() < 0.1
    assert evidence(np.zeros(2), np.array([3.0, -3.0]), long).tolist() == [3.0, -3.0]


def test_evidence_rises_with_both() -> None:
    grid, units = np.linspace(-3, 3, 7), np.full(7, 100)
    assert (np.diff(evidence(grid, np.full(7, 0.8), units)) >= 0).all()
    assert (np.diff(evidence(np.zeros(7), grid, units)) > 0).all()


def test_a_model_with_other_labels_is_refused() -> None:
    class Model:
        def get_labels(self) -> list[str]:
            return ["__label__hq", "__label__cc"]

    with pytest.raises(ValueError, match="labels are"):
        raw_scores(Model(), ["x"])
