"""Where the time goes: laps of one clock -> seconds by name, which add up to the whole.

    ──data──┬──wait──┬──compute──┬──update──┬──guard ...──▶      each lap ends where the next begins

Nothing falls between two laps, so the parts of a step sum to the step.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable

#: Parts of a run's time: rows that were not ready; other processes; forward and backward; the optimizer;
#: held-out rows; checkpoints; everything else (logging, guards).
DATA, WAIT, COMPUTE, UPDATE = "data", "wait", "compute", "update"
VALIDATE, SAVE, OTHER = "validate", "save", "other"
#: The parts of an optimizer step; what training speed is measured on.
STEP = (DATA, WAIT, COMPUTE, UPDATE)


class Stopwatch:
    """Divides the time since its start among names.

    Args:
        clock: Seconds, never falling.

    Example:
        >>> ticks = iter([0.0, 1.0, 4.0, 5.0])
        >>> watch = Stopwatch(lambda: next(ticks))
        >>> watch.lap("data"), watch.lap("compute"), watch.lap("data")
        (1.0, 3.0, 1.0)
        >>> watch.take()
        {'data': 2.0, 'compute': 3.0}
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self._seconds: dict[str, float] = defaultdict(float)
        self._taken: dict[str, float] = defaultdict(float)

    def lap(self, name: str) -> float:
        """Count the time since the last lap under a name, and return it."""
        now = self._clock()
        passed, self._last = now - self._last, now
        self._seconds[name] += passed
        return passed

    def take(self) -> dict[str, float]:
        """Return the seconds by name since the last call, and begin anew."""
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        for name, seconds in taken.items():
            self._taken[name] += seconds
        return taken

    def total(self, names: Iterable[str]) -> float:
        """Return the seconds of some names since the start."""
        return sum(self._taken.get(n, 0.0) + self._seconds.get(n, 0.0) for n in names)
