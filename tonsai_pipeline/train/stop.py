"""SIGTERM, SIGINT -> a flag that all processes agree on before each step.

A handler that saved at once would deadlock: saving is collective, and signals reach the processes one after
another, in the middle of whatever they do. So the handler only remembers, and the flag travels with the
count of targets that is summed over processes at each step anyway.
"""

from __future__ import annotations

import signal
from types import FrameType


class StopRequest:
    """Whether this process was asked to stop; a second signal changes nothing."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether a signal arrived."""
        return self.signal_name is not None

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
