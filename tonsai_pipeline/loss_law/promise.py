"""A prediction of a run, as it is written down before the run -> predicted against measured; pure.

Promise ──as_dict──▶ JSON ──promise_of──▶ Promise ──kept(network, tokens, measured)──▶ Kept each
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tonsai_pipeline.loss_law.law import Interval

#: A run of another length by at most so much is still the one that was meant: steps are whole.
_SAME_LENGTH = 0.02


@dataclass(frozen=True)
class Promise:
    """What a pilot says of the large run.

    Args:
        recipe: Its name.
        num_parameters: All of the network.
        tokens: Of the run, padding included.
        languages: Bits per byte on the held-out documents of each, with the interval of 80 %.
        pilot: Names the runs that it follows from: a digest of what they measured.
    """

    recipe: str
    num_parameters: int
    tokens: int
    languages: Mapping[str, Interval]
    pilot: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Kept:
    """A language of a promise, and what came.

    Args:
        language: The language.
        predicted: As promised.
        measured: Of the run.
        error: How far the measurement lies above the prediction, relative to it.
        is_inside: Whether it lies in the interval.
    """

    language: str
    predicted: Interval
    measured: float
    error: float
    is_inside: bool

    def __str__(self) -> str:
        """Return a line for people."""
        promised = self.predicted
        alert = "" if self.is_inside else " - ALERT: outside the interval"
        return (
            f"{self.language}: predicted {promised.value:.4f} ({promised.low:.4f} to {promised.high:.4f}), measured "
            f"{self.measured:.4f}, {self.error:+.2%}{alert}"
        )


def promise_of(raw: Any) -> Promise:
    """Read a promise from JSON values.

    Raises:
        ValueError: They are none.

    Example:
        >>> made = Promise("mine", 1000, 50_000, {"khm": Interval(1.0, 0.9, 1.1)}, "ab12")
        >>> promise_of(made.as_dict()) == made
        True
    """
    try:
        return Promise(
            recipe=str(raw["recipe"]),
            num_parameters=int(raw["num_parameters"]),
            tokens=int(raw["tokens"]),
            languages={lang: Interval(**found) for lang, found in raw["languages"].items()},
            pilot=str(raw["pilot"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a prediction of `tonsai pilot`: {error!r}") from error


def kept(
    promise: Promise, *, num_parameters: int, tokens: int, measured: Mapping[str, float]
) -> list[Kept]:
    """Put predicted and measured side by side.

    Args:
        promise: What was written down.
        num_parameters: Of the network that was trained.
        tokens: It was trained on.
        measured: Bits per byte on held-out documents, by language.

    Raises:
        ValueError: It is another run.

    Example:
        >>> made = Promise("mine", 1000, 50_000, {"khm": Interval(1.0, 0.9, 1.1)}, "ab12")
        >>> (line,) = kept(made, num_parameters=1000, tokens=50_000, measured={"khm": 1.2})
        >>> str(line)
        'khm: predicted 1.0000 (0.9000 to 1.1000), measured 1.2000, +20.00% - ALERT: outside the interval'
    """
    if promise.num_parameters != num_parameters or (
        abs(tokens / promise.tokens - 1.0) > _SAME_LENGTH
    ):
        raise ValueError(
            f"predicted were {promise.num_parameters:,} parameters and {promise.tokens:,} tokens, and this run has "
            f"{num_parameters:,} and {tokens:,}: predict it anew with tonsai pilot"
        )
    return [
        Kept(
            language=language,
            predicted=predicted,
            measured=measured[language],
            error=measured[language] / predicted.value - 1.0,
            is_inside=predicted.holds(measured[language]),
        )
        for language, predicted in promise.languages.items()
        if language in measured
    ]
