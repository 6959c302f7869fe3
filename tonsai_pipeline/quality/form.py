"""Signals -> log-odds that a text is good by its form alone: a logistic model with one weight a feature.

    Signals ──form_features──▶ (num_docs, len(FORM_FEATURES)) ──weights of the language──▶ log-odds

Rates are shrunk towards a typical one by a few words' worth, so that a short text, which gives little evidence,
moves the score little. The weights were fitted by `python -m benchmarks.quality --only form` on half of each file and measured on the other
half and on user interfaces of other programs; docs/quality.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.quality.signals import Signal, Signals
from tonsai_pipeline.text.script import MIN_MIXED_FRAC

#: Bumped when the same signals would get another score.
FORM_VERSION = 1

_Column = npt.NDArray[np.float64]


def _rate(count: _Column, length: _Column, *, typical: float, weight: float) -> _Column:
    """Return count / length, as if `weight` more of text with the typical rate had been read."""
    return (count + typical * weight) / (length + weight)


def _columns(of: Callable[[Signal], _Column]) -> dict[str, _Column]:
    words, chars = of(Signal.num_words), of(Signal.num_chars)
    thousands = chars / 1000
    ends = _rate(of(Signal.num_sentences), thousands, typical=5, weight=0.1)
    known = chars / (chars + 30)  # how much a share of characters is worth
    return {
        "log_words": np.minimum(np.log1p(words), np.log1p(600)),
        "interface_words": np.minimum(
            _rate(of(Signal.num_interface_words), words, typical=0.0, weight=6), 0.12
        ),
        "ended_chars": of(Signal.ended_char_frac),
        "sentences": np.minimum(ends, 8),
        "short_sentences": np.clip(ends - 12, 0, 20),
        "other_chars": (1 - of(Signal.letter_frac)) * known,
        "symbols": np.minimum(of(Signal.symbol_frac) * known, 0.2),
        "placeholders": np.minimum(
            of(Signal.num_placeholders_per_1000_chars) * chars / (chars + 100), 30
        ),
        "short_lines": of(Signal.short_char_frac),
        "repeated_phrases": of(Signal.top_2_gram_frac) * np.minimum(words / 50, 1),
        "upper_case": of(Signal.upper_case_frac),
        "inner_capitals": of(Signal.inner_capital_frac),
    }


FORM_FEATURES: tuple[str, ...] = tuple(_columns(lambda _: np.zeros(1)))
#: Which way a feature may count: +1 for what good text has, -1 for what junk has, 0 for either.
SIGNS: Mapping[str, int] = {
    "log_words": 1,
    "interface_words": -1,
    "ended_chars": 1,
    "sentences": 1,
} | dict.fromkeys(FORM_FEATURES[4:], -1)

#: Weights of the features by language, and what is added. Fitted: see above. A feature whose weight would have the
#: wrong sign has none.
WEIGHTS: Mapping[str, tuple[tuple[float, ...], float]] = {
    "khm": (
        (1.481, -28.31, 1.132, 0.2963, 0, -9.682, -21.65, -0.2562, -2.125, -14.93, -1.44, 0),
        -4.274,
    ),
    "eng": (
        (1.285, -22.75, 1.915, 0.645, -0.4096, -4.793, 0, -0.2059, -0.548, -5.899, 0, -3.579),
        -9.027,
    ),
}


def form_features(signals: Signals) -> npt.NDArray[np.float64]:
    """Return the features of each document, shape (num_docs, len(FORM_FEATURES))."""
    return np.stack(list(_columns(lambda s: signals.of(s).astype(np.float64)).values()), axis=1)


def form_log_odds(signals: Signals) -> npt.NDArray[np.float64]:
    """Return the log-odds of good against junk, in a world with as much of both, shape (num_docs,).

    A document with a tenth of Khmer letters is weighed as Khmer, as it is judged.
    """
    found = form_features(signals)
    khmer = signals.of(Signal.khmer_frac) >= MIN_MIXED_FRAC
    by_language = {
        language: found @ np.array(weights) + bias for language, (weights, bias) in WEIGHTS.items()
    }
    return np.where(khmer, by_language["khm"], by_language["eng"])


def form_score(signals: Signals) -> npt.NDArray[np.float32]:
    """Return the chance of good against junk by the form alone, shape (num_docs,)."""
    return sigmoid(form_log_odds(signals)).astype(np.float32)


def sigmoid(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logistic function; beyond 15 the answer is 1 to the precision of a score, so nothing overflows."""
    return 1.0 / (1.0 + np.exp(-np.clip(value, -15.0, 15.0)))
