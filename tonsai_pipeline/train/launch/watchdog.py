"""A run that stands still -> the stacks of all its threads, a failure record, and an end.

    beat ... beat ... (nothing for watchdog_s) ──▶ hang-<rank>.txt, failure-<start>-<rank>.json, exit

Nothing else would end it: a process that waits for a peer or for a disk waits for ever, and holds its GPU.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tonsai_pipeline.storage.job_folder import record_failure

HANG_EXIT_CODE = 76
#: Time for the other processes, which wait for this one, to write their stacks as well before the launcher
#: ends them.
_FAREWELL_S = 2.0


class Watchdog:
    """Ends this process when its loop stands still; a context manager.

    Args:
        limit_s: Longest time between two beats; None: for ever.
        folder: The run's output folder.
        rank: This process.
    """

    def __init__(self, limit_s: float | None, folder: Path, rank: int) -> None:
        self._limit_s = limit_s
        self._folder = folder
        self._rank = rank
        self._doing = "starting"
        self._step: int | None = None
        self._last = time.monotonic()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if self._limit_s is not None:
            self.beat("starting")
            threading.Thread(target=self._guard, name="watchdog", daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._over.set()

    def beat(self, doing: str, step: int | None = None) -> None:
        """Say that the loop goes on, and with what."""
        self._doing, self._step, self._last = doing, step, time.monotonic()

    def _guard(self) -> None:
        limit_s = self._limit_s or 0.0
        while not self._over.wait(min(limit_s / 10, 5.0)):
            stood_s = time.monotonic() - self._last
            if stood_s > limit_s:
                self._end(stood_s)

    def _end(self, stood_s: float) -> None:
        stacks = self._folder / f"hang-{self._rank}.txt"
        with stacks.open("w") as stream:
            faulthandler.dump_traceback(stream, all_threads=True)
        message = (
            f"process {self._rank} stood still for {stood_s:.0f} s while {self._doing} "
            f"(train.guards.watchdog_s); what its threads were doing: {stacks}"
        )
        record_failure(
            self._folder,
            error="Hang",
            message=message,
            is_ours=True,
            may_retry=True,
            step=self._step,
            checkpoint=None,
            traceback=stacks.read_text(),
        )
        sys.stderr.write(f"{message}\n{stacks.read_text()}")
        sys.stderr.flush()
        time.sleep(_FAREWELL_S)
        os._exit(HANG_EXIT_CODE)
