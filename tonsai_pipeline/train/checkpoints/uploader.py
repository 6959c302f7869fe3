"""Checkpoints -> a folder behind any fsspec URL, by a thread that training never waits for.

    step-00000500/ ──files, then manifest.json──▶ <url>/<fingerprint>/step-00000500/

The manifest goes last, so that a checkpoint without one is unfinished and never read. Whatever fails here is
logged and counted, and training goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.recipe.train import CheckpointConfig
from tonsai_pipeline.storage.manifest import MANIFEST_NAME
from tonsai_pipeline.train.checkpoints.checkpoint import step_of, surplus
from tonsai_pipeline.train.checkpoints.remote import Remote

#: Seconds before the second try of a file; doubled for each further one.
_FIRST_WAIT_S = 1.0


@dataclass(frozen=True)
class UploadReport:
    """What became of the uploads so far.

    Args:
        url: Where they go.
        last_step: Step of the newest checkpoint that is there, whole; -1: none of this start yet.
        num_failed: Checkpoints that were given up.
        num_waiting: Checkpoints on their way.
        last_error: Why the last one was given up; empty: none was.
    """

    url: str
    last_step: int = -1
    num_failed: int = 0
    num_waiting: int = 0
    last_error: str = ""


class Uploader:
    """Sends checkpoints one after another; only process 0 has one.

    Args:
        remote: Where to.
        section: Attempts, and how many are kept.
        on_trouble: Gets a message about everything that failed, from the thread.
        wait: Sleeps; replaced by tests.
    """

    def __init__(
        self,
        remote: Remote,
        section: CheckpointConfig,
        *,
        on_trouble: Callable[[str], None],
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._remote = remote
        self._section = section
        self._on_trouble = on_trouble
        self._changed = threading.Condition()
        self._waiting: Path | None = None
        self._sending: Path | None = None
        self._gone: list[str] = []
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._report = UploadReport(remote.url)
        self._thread = threading.Thread(target=self._work, name="upload", daemon=True)
        self._thread.start()

    @property
    def report(self) -> UploadReport:
        """What became of the uploads so far."""
        with self._changed:
            return self._counted()

    def enqueue(self, folder: Path) -> None:
        """Send a checkpoint soon. One that still waits gives way to a newer one, and is counted as given up."""
        with self._changed:
            skipped, self._waiting = self._waiting, folder
            self._changed.notify_all()
        if skipped is not None and skipped != folder:
            self._give_up(skipped, "a newer checkpoint was saved before it was sent")

    def forget_after(self, step: int) -> None:
        """Remove what was sent of later steps: the run was rolled back to before them."""
        with self._changed:
            if self._waiting is not None and step_of(self._waiting.name) > step:
                self._waiting = None
            self._gone.append(f"step-{step:08d}")
            self._changed.notify_all()

    def is_needed(self, folder: Path) -> bool:
        """Whether a folder must stay because it is, or waits to be, sent."""
        with self._changed:
            return folder in (self._waiting, self._sending)

    def close(self, drain_s: float) -> UploadReport:
        """Wait for what is on its way, at most `drain_s` seconds; what is not done by then is given up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._has_work(), timeout=drain_s)
            left = [path for path in (self._sending, self._waiting) if path is not None]
            self._waiting = None
            self._closing.set()
            self._changed.notify_all()
        for path in left:
            self._give_up(path, f"the job ended {drain_s:.0f} s later")
        return self.report

    def _has_work(self) -> bool:
        return bool(self._waiting or self._sending or self._gone)

    def _counted(self) -> UploadReport:
        waiting = sum(path is not None for path in (self._waiting, self._sending))
        return replace(self._report, num_waiting=waiting)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work() or self._closing.is_set())
                if self._closing.is_set():
                    return
                gone, self._gone = self._gone, []
                self._sending, self._waiting = self._waiting, None
            for name in gone:
                self._try(
                    lambda name=name: self._remove_after(name), f"removing what follows {name}"
                )
            if self._sending is not None:
                self._send(self._sending)
            with self._changed:
                self._sending = None
                self._changed.notify_all()

    def _send(self, folder: Path) -> None:
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST_NAME]
        names = [path.relative_to(folder).as_posix() for path in files]

        def send(file: str) -> None:
            self._remote.send(folder / file, folder.name, file)

        # What stands there under this name is of an earlier start, or of before a rollback.
        error = self._try(lambda: self._remote.remove(folder.name), "")
        for file in [*names, MANIFEST_NAME]:
            error = error or self._try(lambda file=file: send(file), "")
        if error:
            # What is cut off by the end of the job is logged by `close`.
            if not self._closing.is_set():
                self._give_up(folder, error)
            return
        with self._changed:
            step = step_of(folder.name)
            self._report = replace(self._report, last_step=step)
        self._try(self._prune, "removing old checkpoints")

    def _prune(self) -> None:
        for name in surplus(self._remote.names(), self._section):
            self._remote.remove(name)

    def _remove_after(self, name: str) -> None:
        for later in self._remote.names():
            if later > name:
                self._remote.remove(later)

    def _try(self, do: Callable[[], None], what: str) -> str:
        """Do something, several times if need be; return why it failed, and log it if `what` is given."""
        pause_s, reason = _FIRST_WAIT_S, ""
        for attempt in range(self._section.upload_attempts):
            if attempt:
                self._wait(pause_s)
                pause_s *= 2
            if self._closing.is_set():
                return reason or "the job ended"
            try:
                do()
            except (StorageError, OSError) as error:
                reason = str(error)
            else:
                return ""
        if what:
            self._on_trouble(f"{what} failed: {reason}")
        return reason

    def _give_up(self, folder: Path, reason: str) -> None:
        with self._changed:
            facts = {"num_failed": self._report.num_failed + 1, "last_error": reason}
            self._report = replace(self._report, **facts)
        self._on_trouble(f"{folder.name} was not uploaded: {reason}; training goes on")
