"""How a job speaks: numbers and sentences -> Dagster (Pipes), or a terminal; one process of a machine at most.

This is all that training and evaluation know of the orchestrator, and the only import of `dagster_pipes`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

import dagster_pipes
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Key of the custom message that carries one line of metrics.
METRICS_KEY = "tonsai/metrics"


class Reporter(Protocol):
    """What a job may say while it runs."""

    def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None:
        """Report numbers measured at an optimizer step, of so many if that is known."""
        ...

    def log(self, message: str) -> None:
        """Report a sentence for the reader of the log."""
        ...


@contextmanager
def open_reporter(rank: int | None = None) -> Iterator[Reporter]:
    """Open the reporter that fits where this process runs.

    Args:
        rank: Rank of the process; None reads RANK, as torchrun sets it.
    """
    rank = int(os.environ.get("RANK", "0")) if rank is None else rank
    # Where several machines train, process 0 may be on one that Dagster does not hear.
    is_launched = dagster_pipes.DAGSTER_PIPES_CONTEXT_ENV_VAR in os.environ
    is_heard = is_launched and os.environ.get("LOCAL_RANK", str(rank)) == "0"
    if rank != 0 and not is_heard:
        yield _Silent()
        return
    screen = _Screen()
    try:
        if is_launched:
            with dagster_pipes.open_dagster_pipes() as context:
                yield _Pipes(context, screen)
        else:
            yield screen
    finally:
        screen.close()


class _Silent:
    """All other processes."""

    def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None:
        """Say nothing."""

    def log(self, message: str) -> None:
        """Say nothing."""


class _Screen:
    """A person: a bar with the time left on a terminal, lines anywhere else."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._began: tuple[int, float] | None = None

    def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None:
        """Move the bar and show the numbers beside it, or print them in one line."""
        now = time.monotonic()
        if of is None or not self._console.is_terminal:
            first, began = self._began = self._began or (step, now)
            left_s = None if of is None else seconds_left(step - first, of - step, now - began)
            self._console.print(format_metrics(step, numbers, of=of, left_s=left_s))
            return
        if self._bar is None:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=self._console)
            self._bar.add_task("", total=of, completed=step)
            self._bar.start()
        shown = {
            **self._bar.tasks[0].fields,
            **{k: v for k, v in numbers.items() if _is_watched(k)},
        }
        text = "  ".join(f"{name} {_number(value)}" for name, value in shown.items())
        self._bar.update(self._bar.task_ids[0], completed=step, description=text, **shown)

    def log(self, message: str) -> None:
        """Print the sentence, above the bar."""
        self._console.print(message, markup=False)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()


class _Pipes:
    """The Dagster run that launched this job, and the person who watches its output.

    A cancelled run may take its message channel away while the job still saves a checkpoint; the job must
    go on, so from then on this reporter speaks to the person only, and says so once.
    """

    def __init__(self, context: dagster_pipes.PipesContext, screen: _Screen) -> None:
        self._context = context
        self._screen = screen
        self._is_connected = True

    def metrics(self, *, step: int, of: int | None = None, **numbers: float) -> None:
        """Send the numbers to the asset page and show them."""
        self._screen.metrics(step=step, of=of, **numbers)
        known = {} if of is None else {"of": of}
        self._send({METRICS_KEY: {"step": step, **known, **numbers}})

    def log(self, message: str) -> None:
        """Print to the run's log."""
        self._screen.log(message)

    def _send(self, message: Any) -> None:
        if not self._is_connected:
            return
        try:
            self._context.report_custom_message(message)
        except OSError as error:
            self._is_connected = False
            self.log(f"Dagster is no longer listening ({error}); going on without it")


def seconds_left(num_done: int, num_left: int, elapsed_s: float) -> float | None:
    """Return how long the rest takes at the speed so far; None before the first step.

    Example:
        >>> seconds_left(10, 30, 5.0), seconds_left(0, 30, 1.0)
        (15.0, None)
    """
    return elapsed_s / num_done * num_left if num_done > 0 else None


def format_metrics(
    step: int, numbers: Mapping[str, float], *, of: int | None = None, left_s: float | None = None
) -> str:
    """Return one line: the step, the time left, then every number with few digits.

    Example:
        >>> format_metrics(10, {"loss": 4.13251, "tokens": 81920})
        'step 10  loss 4.133  tokens 81,920'
        >>> format_metrics(10, {"loss": 4.13251}, of=1200, left_s=3725)
        'step 10 of 1,200  1:02:05 left  loss 4.133'
    """
    pieces = [f"step {step:,}" if of is None else f"step {step:,} of {of:,}"]
    if left_s is not None:
        pieces.append(f"{timedelta(seconds=round(left_s))} left")
    return "  ".join([*pieces, *(f"{name} {_number(value)}" for name, value in numbers.items())])


def _number(value: float) -> str:
    is_whole = isinstance(value, int) or float(value).is_integer()
    return f"{int(value):,}" if is_whole else f"{value:.4g}"


def _is_watched(name: str) -> bool:
    """Whether a number stands beside the bar; the others are in metrics.jsonl and on the asset's page."""
    return name in ("loss", "tokens_per_s") or name.endswith("bits_per_byte")
