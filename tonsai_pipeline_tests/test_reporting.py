"""A job shows a bar with the time left on a terminal, and lines with it elsewhere; nothing but process 0 speaks."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from tonsai_pipeline import reporting
from tonsai_pipeline.reporting import open_reporter


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass between two looks."""
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr(reporting.time, "monotonic", lambda: float(next(times)))


def show(rank: int = 0) -> None:
    with open_reporter(rank) as reporter:
        reporter.metrics(step=0, of=50, khm_bits_per_byte=0.9)
        reporter.metrics(step=10, of=50, loss=4.25, tokens_per_s=5000.0, grad_norm=1.5)
        reporter.log("[saved] at step 10")


def test_lines_say_how_long_the_rest_takes(capsys: pytest.CaptureFixture[str]) -> None:
    show()
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "step 0 of 50  khm_bits_per_byte 0.9"
    # Ten seconds for ten steps: forty for the forty that are left.
    assert second.startswith("step 10 of 50  0:00:40 left  loss 4.25")
    assert third == "[saved] at step 10"


def test_a_terminal_gets_a_bar_with_what_is_watched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    show()
    shown = capsys.readouterr().err
    assert "10/50" in shown
    assert "khm_bits_per_byte 0.9  loss 4.25  tokens_per_s 5,000" in shown
    assert "grad_norm" not in shown
    assert "[saved] at step 10" in shown


def test_other_processes_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    show(rank=1)
    assert not capsys.readouterr().err


def test_of_several_machines_the_one_that_dagster_hears_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    monkeypatch.setenv("DAGSTER_PIPES_CONTEXT", "there")
    monkeypatch.setattr(reporting.dagster_pipes, "open_dagster_pipes", lambda: nullcontext(Pipes()))

    class Pipes:
        def report_custom_message(self, message: object) -> None:
            heard.append(message)

    monkeypatch.setenv("LOCAL_RANK", "1")
    show(rank=3)
    assert not heard
    monkeypatch.setenv("LOCAL_RANK", "0")
    show(rank=2)
    assert len(heard) == 2
    assert "[saved] at step 10" in capsys.readouterr().err
