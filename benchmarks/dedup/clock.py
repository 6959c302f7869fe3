"""CPU seconds of a call: the best of a few, which another program on the machine disturbs least."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cpu_s(work: Callable[[], T], *, repeats: int = 5) -> tuple[float, T]:
    """Return the CPU seconds of the quickest of some runs, all threads of this process, and the result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        started = time.process_time()
        result = work()
        best = min(best, time.process_time() - started)
    return best, result  # pyright: ignore[reportReturnType]
