"""What is called an effect stands out of the noise; a promise is of one run."""

from __future__ import annotations

import pytest

from tonsai_pipeline.loss_law.effects import effects
from tonsai_pipeline.loss_law.law import Interval
from tonsai_pipeline.loss_law.promise import Promise, kept, promise_of

MADE = Promise("mine", 1000, 50_000, {"khm": Interval(1.0, 0.9, 1.1)}, "ab12")


def test_an_effect_within_the_noise_is_not_resolved_and_without_seeds_none_is() -> None:
    found = effects([1.00, 1.02, 1.01], {"better": 0.95, "same": 1.02, "worse": 1.05})
    assert [(one.name, one.is_resolved) for one in found] == [
        ("better", True),
        ("same", False),
        ("worse", True),
    ]
    assert not any(one.is_resolved for one in effects([1.0], {"better": 0.5}))


def test_a_promise_is_compared_with_the_run_that_it_is_about() -> None:
    assert promise_of(MADE.as_dict()) == MADE
    (line,) = kept(MADE, num_parameters=1000, tokens=50_500, measured={"khm": 1.02, "eng": 2.0})
    assert line.is_inside
    assert "ALERT" not in str(line)
    for parameters, tokens in ((1001, 50_000), (1000, 60_000)):
        with pytest.raises(ValueError, match="predict it anew"):
            kept(MADE, num_parameters=parameters, tokens=tokens, measured={"khm": 1.0})


@pytest.mark.parametrize("raw", [[], {}, {"recipe": "a", "languages": []}, "text"])
def test_what_is_no_promise_is_named(raw: object) -> None:
    with pytest.raises(ValueError, match="not a prediction"):
        promise_of(raw)
