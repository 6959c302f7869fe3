"""What happens beside the steps: in order, with a state that a resumed or rolled-back run finds again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.train import job
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.callbacks.guards import Guards
from tonsai_pipeline.train.callbacks.make import make_callbacks
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline_tests.train import runs
from tonsai_pipeline_tests.train.tiny import make_run


class Counter(Callback):
    """Counts the steps that count: those that were undone do not."""

    def __init__(self) -> None:
        self.num_steps = 0
        self.calls: list[tuple[str, int]] = []

    def state(self) -> dict[str, Any]:
        return {"num_steps": self.num_steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.num_steps = state.get("num_steps", 0)
        self.calls.append(("load", self.num_steps))

    def on_start(self, *, resumed: bool) -> None:
        self.calls.append(("resumed" if resumed else "start", self.trainer.step))

    def before_step(self, step: int) -> None:
        self.calls.append(("before", step))

    def after_step(self, step, result) -> None:
        assert step == self.trainer.step
        self.num_steps += 1
        self.calls.append(("after", step))

    def after_validation(self, step, found) -> None:
        assert set(found) == {"eng", "khm"}
        self.calls.append(("validation", step))

    def on_stop(self, step: int) -> None:
        self.calls.append(("stop", step))


@pytest.fixture
def counters(monkeypatch) -> list[Counter]:
    """The counter of each run that is started, put before `Saving`."""
    made: list[Counter] = []

    def with_counter(*args):
        made.append(Counter())
        guards, *others = make_callbacks(*args)
        assert isinstance(guards, Guards)
        return [guards, made[-1], *others]

    monkeypatch.setattr(job, "make_callbacks", with_counter)
    return made


def test_hooks_come_in_order_and_the_state_is_found_again(
    tiny_data: Path, counters: list[Counter]
) -> None:
    run = make_run(tiny_data, "callbacks", backend="torch")
    runs.train(run, StopAfter(3))
    assert counters[0].calls == [
        ("start", 0),
        ("validation", 0),
        *[
            (hook, step)
            for step in (0, 1)
            for hook, step in (("before", step), ("after", step + 1))
        ],
        ("before", 2),
        ("after", 3),
        ("validation", 3),
        ("stop", 3),
    ]
    manifest: Any = read_json(run.output_dir / "checkpoints/step-00000003/manifest.json")
    assert manifest["state"]["callbacks"]["Counter"] == {"num_steps": 3}
    runs.train(run)
    assert counters[1].calls[:2] == [("load", 3), ("resumed", 3)]
    assert counters[1].num_steps == 6


def test_after_a_rollback_the_state_is_that_of_the_checkpoint(
    tiny_data: Path, counters: list[Counter], monkeypatch
) -> None:
    real = Guards.after_step

    def spike_once_at_5(self, step, result):
        if step == 5 and self.trainer.num_rollbacks == 0:
            found = self._checkpoints.newest("tiny", at_most=3)
            self._checkpoints.load(found, self.trainer.backend.load)
            self.trainer.roll_back(found.state, 3, 5)
            return
        real(self, step, result)

    monkeypatch.setattr(Guards, "after_step", spike_once_at_5)
    run = make_run(tiny_data, "callbacks rolled back", backend="torch")
    outcome, _ = runs.train(run)
    assert outcome.num_rollbacks == 1
    calls = counters[0].calls
    # The step that is undone is not looked at by what comes after the guards.
    place = calls.index(("load", 2))
    assert calls[place - 1] == ("before", 4)
    assert calls[place + 1] == ("before", 2)
    assert counters[0].num_steps == 6
