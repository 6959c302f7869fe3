"""A fastText model and feature lines -> the chance that a document is good; and what the model looks at.

    lines ──raw_scores──▶ log-odds ─┐
    signals ──form_log_odds─────────┴─evidence──▶ log-odds ──Calibration──▶ score in [0, 1]

The classifier knows the words of the junk it has seen and nothing of any other kind; the form of a page judges
every kind alike. Words count up to a limit, and less in a short text, which has few. The model is a value here: the
stage trains and loads it.

Source: Joulin et al., "Bag of Tricks for Efficient Text Classification" (2017); Li et al., DataComp-LM (2024),
    section 4.4, on fastText as a quality filter; Platt (1999) on calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.quality.form import sigmoid

GOOD, BAD = "__label__good", "__label__bad"
#: Bumped when the same model and text would get another score.
CLASSIFIER_VERSION = 3
_SMALLEST_PROBABILITY = 1e-7
#: The classifier's log-odds count up to this, either way; fully from a text of so many units on, half of them there.
#: Ours: chosen on kinds of real junk, each left out of training in turn (`python -m benchmarks.quality --only classifier`).
_MAX_CONTENT_LOG_ODDS = 1.0
_UNITS_OF_HALF_WEIGHT = 20.0
#: Where the fit of a calibration starts, and how strongly it is held there: slope, offset.
_START = np.array([1.0, 0.0])
_PULL = np.array([1e-3, 1e-4])


@dataclass(frozen=True)
class Calibration:
    """Probability = 1 / (1 + exp(-(slope x log-odds + offset)))."""

    slope: float = 1.0
    offset: float = 0.0

    def apply(self, log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return probabilities, shape as given."""
        return sigmoid(self.slope * log_odds + self.offset).astype(np.float32)


def raw_scores(model: Any, lines: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the model's log-odds of good against bad, shape (num_lines,).

    Args:
        model: A fastText model with the labels `__label__good` and `__label__bad`.
        lines: From `features.features`. An empty line has log-odds of 0.

    Raises:
        ValueError: The model has other labels.
    """
    if set(model.get_labels()) != {GOOD, BAD}:
        raise ValueError(f"the model's labels are {model.get_labels()}, not {GOOD} and {BAD}")
    if not lines:
        return np.zeros(0)
    # A list, never a string: fastText 0.9.3's predict(str) breaks on numpy 2.
    labels, chances = model.predict([line or " " for line in lines], k=1)
    first = np.array([label[0] == GOOD if label else True for label in labels])
    top = np.array([chance[0] if len(chance) else 0.5 for chance in chances], dtype=np.float64)
    top = np.clip(top, 0.5, 1.0 - _SMALLEST_PROBABILITY)
    odds = np.log(top) - np.log1p(-top)
    return np.where(first, odds, -odds) * np.array([bool(line) for line in lines])


def evidence(
    log_odds: npt.NDArray[np.float64],
    form: npt.NDArray[np.float64],
    num_units: npt.NDArray[np.integer],
) -> npt.NDArray[np.float64]:
    """Join what the words say with what the form says, as log-odds.

    Args:
        log_odds: From `raw_scores`, shape (num_docs,).
        form: From `form.form_log_odds`, likewise.
        num_units: Units of each document that the classifier read, likewise.

    Example:
        >>> evidence(np.array([9.0, 9.0]), np.array([0.5, 0.5]), np.array([20, 1980])).tolist()
        [1.0, 1.49]
    """
    weight = num_units / (num_units + _UNITS_OF_HALF_WEIGHT)
    content = np.clip(log_odds, -_MAX_CONTENT_LOG_ODDS, _MAX_CONTENT_LOG_ODDS)
    return weight * content + form


def num_units_of(lines: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return how many units and marks each feature line has."""
    return np.array([line.count(" ") + bool(line) for line in lines], dtype=np.int64)


def calibrate(log_odds: npt.NDArray[np.float64], good: npt.NDArray[np.bool_]) -> Calibration:
    """Fit the two numbers of `Calibration` on documents that were not trained on.

    Both sides weigh the same, whatever their number: the score is the chance in a balanced world. Newton's
    method with a small pull towards slope 1, so that a perfect separation has a finite answer. Targets are
    smoothed as Platt does.

    Args:
        log_odds: From `evidence`, shape (num_docs,).
        good: Truth, likewise.

    Raises:
        ValueError: One of the sides is empty.
    """
    num_good, num_bad = int(good.sum()), int((~good).sum())
    if not num_good or not num_bad:
        raise ValueError("calibration needs good and bad documents")
    target = np.where(good, (num_good + 1) / (num_good + 2), 1 / (num_bad + 2))
    weight = np.where(good, 0.5 / num_good, 0.5 / num_bad)
    inputs = np.stack([log_odds, np.ones_like(log_odds)], axis=1)
    theta = _START.copy()
    for _ in range(100):
        chance = sigmoid(inputs @ theta)
        gradient = inputs.T @ (weight * (chance - target)) + _PULL * (theta - _START)
        curvature = (inputs * (weight * chance * (1 - chance))[:, None]).T @ inputs + np.diag(_PULL)
        step = np.linalg.solve(curvature, gradient).astype(np.float64)
        before, size = _loss(inputs, target, weight, theta), 1.0
        while size > 1e-6 and _loss(inputs, target, weight, theta - size * step) > before:
            size /= 2  # a full step overshoots where the sides are far apart
        theta -= size * step
        if np.abs(step).max() < 1e-9:
            break
    return Calibration(slope=max(float(theta[0]), 1e-3), offset=float(theta[1]))


def telling_features(model: Any, num_features: int = 20) -> dict[str, list[tuple[str, float]]]:
    """Return the single units that speak loudest for each side, with the log-odds each alone would give.

    Args:
        model: A fastText model as for `raw_scores`.
        num_features: How many of each side.

    Returns:
        `{"good": [(unit, log-odds), ...], "bad": [...]}`, loudest first.
    """
    labels = model.get_labels()
    outputs = np.array(model.get_output_matrix())
    direction = outputs[labels.index(GOOD)] - outputs[labels.index(BAD)]
    words = model.get_words()
    worth = np.array(model.get_input_matrix())[: len(words)] @ direction
    order = np.argsort(-worth, kind="stable")
    loudest = {"good": order[:num_features], "bad": order[::-1][:num_features]}
    return {
        side: [(words[i], round(float(worth[i]), 3)) for i in of] for side, of in loudest.items()
    }


def _loss(
    inputs: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    theta: npt.NDArray[np.float64],
) -> float:
    """Weighted cross entropy, and the pull towards `_START`."""
    odds = inputs @ theta
    entropy = np.logaddexp(0.0, odds) - target * odds
    return float(weight @ entropy + 0.5 * _PULL @ (theta - _START) ** 2)
