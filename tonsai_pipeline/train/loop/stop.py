"""SIGTERM, SIGINT -> a flag that all processes agree on before each step.

A handler that saved at once would deadlock: saving is collective, and signals reach the processes one after
another, in the middle of whatever they do. So a signal is only remembered, and the flag travels with the
count of targets that is summed over processes at each step anyway.

Signals are read by a thread of their own: while the main thread waits inside a collective for a peer that has
died, no Python handler would run, and the process would sit there until it is killed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_STUCK_EXIT_CODE = 75


class StopRequest:
    """Whether this process was asked to stop; a second signal changes nothing."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether a signal arrived."""
        return self.signal_name is not None

    def install(self, is_hopeless: Callable[[], bool]) -> None:
        """Listen to SIGTERM and SIGINT.

        Args:
            is_hopeless: Asked when a signal arrives; true if a peer has failed, so that no save can succeed and
                the process ends at once.
        """
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Python writes to the pipe only for signals that have a handler.
            signal.signal(number, _leave_to_thread)
        thread = threading.Thread(
            target=self._listen, args=(reading, is_hopeless), name="signals", daemon=True
        )
        thread.start()

    def _listen(self, reading: int, is_hopeless: Callable[[], bool]) -> None:
        while received := os.read(reading, 1):
            self.signal_name = signal.Signals(received[0]).name
            if is_hopeless():
                os._exit(_STUCK_EXIT_CODE)


class StopAfter(StopRequest):
    """Asked to stop once so many steps were begun: for whoever tries what a stopped run does."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self._left = num_steps

    @property
    def is_set(self) -> bool:
        """Whether they were; asked once a step."""
        self._left -= 1
        return self._left < 0


def _leave_to_thread(_: int, __: FrameType | None) -> None:
    """Do nothing here, see `StopRequest._listen`."""
