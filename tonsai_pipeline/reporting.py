"""How a job speaks: numbers and sentences -> Dagster (Pipes), or a terminal; silent on every rank but 0.

This is all that training and evaluation know of the orchestrator, and the only import of `dagster_pipes`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import dagster_pipes
from rich.console import Console

#: Key of the custom message that carries one line of metrics.
METRICS_KEY = "tonsai/metrics"


class Reporter(Protocol):
    """What a job may say while it runs."""

    def metrics(self, *, step: int, **numbers: float) -> None:
        """Report numbers measured at an optimizer step."""
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
    if rank != 0:
        yield _Silent()
    elif dagster_pipes.DAGSTER_PIPES_CONTEXT_ENV_VAR in os.environ:
        with dagster_pipes.open_dagster_pipes() as context:
            yield _Pipes(context)
    else:
        yield _Terminal()


class _Silent:
    """Ranks other than 0."""

    def metrics(self, *, step: int, **numbers: float) -> None:
        """Say nothing."""

    def log(self, message: str) -> None:
        """Say nothing."""


class _Terminal:
    """A person, or a log file."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def metrics(self, *, step: int, **numbers: float) -> None:
        """Print one line."""
        self._console.print(format_metrics(step, numbers))

    def log(self, message: str) -> None:
        """Print the sentence."""
        self._console.print(message)


class _Pipes:
    """The Dagster run that launched this job.

    A cancelled run may take its message channel away while the job still saves a checkpoint; the job must
    go on, so from then on this reporter speaks to stderr only, and says so once.
    """

    def __init__(self, context: dagster_pipes.PipesContext) -> None:
        self._context = context
        self._is_connected = True

    def metrics(self, *, step: int, **numbers: float) -> None:
        """Send the numbers to the asset page and print them to the log."""
        print(format_metrics(step, numbers), file=sys.stderr, flush=True)  # noqa: T201
        self._send({METRICS_KEY: {"step": step, **numbers}})

    def log(self, message: str) -> None:
        """Print to the run's log."""
        print(message, file=sys.stderr, flush=True)  # noqa: T201

    def _send(self, message: Any) -> None:
        if not self._is_connected:
            return
        try:
            self._context.report_custom_message(message)
        except OSError as error:
            self._is_connected = False
            self.log(f"Dagster is no longer listening ({error}); going on without it")


def format_metrics(step: int, numbers: Mapping[str, float]) -> str:
    """Return one line: the step, then every number with few digits.

    Example:
        >>> format_metrics(10, {"loss": 4.13251, "tokens": 81920})
        'step 10  loss 4.133  tokens 81,920'
    """
    pieces = [f"step {step:,}"]
    for name, value in numbers.items():
        is_whole = isinstance(value, int) or float(value).is_integer()
        pieces.append(f"{name} {int(value):,}" if is_whole else f"{name} {value:.4g}")
    return "  ".join(pieces)
