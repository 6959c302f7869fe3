"""A machine that takes part in trainings that others start: `tonsai node`.

    runs/<kind>/<key>/nodes.json ──its count grows──▶ not begun: join with torchrun      begun: knock, join its next start

Ends never by itself, unless it does not fit (another version, another path) or fails where the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.storage.job_folder import RUN_NAME
from tonsai_pipeline.train.launch.launcher import LaunchSpec, launch
from tonsai_pipeline.train.launch.rendezvous import NODES_NAME, Announcement, has_begun, knock

_LOOK_EVERY_S = 1.0
#: A training that goes on for so long after this machine fell out of it does so without this machine.
_FORSAKEN_S = 60.0


class Lender:
    """Lends this machine to the trainings of a data root.

    Args:
        root: The data root, on storage that the machines share.
        address: By which the others reach this machine; None: found by itself.
        num_processes: Processes here; 0: one per GPU, or one.
        grace_s: Seconds for saving when it is stopped.
        say: Shows a person what it does.

    Raises:
        StorageError: There is no such folder.
    """

    def __init__(
        self,
        root: Path,
        *,
        address: str | None,
        num_processes: int,
        grace_s: float,
        say: Callable[[str], object],
    ) -> None:
        if not root.is_dir():
            raise StorageError(
                f"{root}: no such folder; it must be the data root of the machine that starts trainings, on "
                "storage that both see (--home, TONSAI_HOME)"
            )
        self._root = root.absolute()
        self._address = address
        self._num_processes = num_processes
        self._grace_s = grace_s
        self._say = say
        self._beats: dict[Path, int] = {}
        self._asked = ""
        self._left: tuple[str, float] = ("", 0.0)

    def run(self) -> None:
        """Take part in what is announced, one training after another, until it is interrupted.

        Raises:
            TrainError: This machine does not fit, or a training goes on without it.
        """
        self._say(f"waiting for trainings of {self._root}")
        while True:
            for path in sorted(self._root.glob(f"runs/*/*/{NODES_NAME}")):
                found = Announcement.read(path)
                if found is not None and self._lives(path, found):
                    self._take_part(path.parent, found)
            time.sleep(_LOOK_EVERY_S)

    def _lives(self, path: Path, found: Announcement) -> bool:
        """Whether its count has grown since it was last read: clocks of two machines need not agree."""
        before = self._beats.get(path)
        self._beats[path] = found.beat
        return before is not None and found.beat > before

    def _take_part(self, folder: Path, found: Announcement) -> None:
        found.check(folder)
        place = found.joined_from(self._address)
        left, since = self._left
        if left == found.id:
            if time.monotonic() - since > _FORSAKEN_S:
                raise TrainError(
                    f"{folder}: this machine fell out of a training that goes on without it; the log above says why"
                )
        elif has_begun(folder):
            if self._asked != found.id:
                self._asked = found.id
                self._say(f"{folder} has begun; asking to take part")
            knock(folder, place.address)
        else:
            self._say(f"joining {folder} at {found.endpoint} as {place.address}")
            spec = LaunchSpec(
                found.module,
                folder / RUN_NAME,
                folder,
                num_processes=self._num_processes,
                rendezvous=place,
            )
            result = launch(spec, grace_s=self._grace_s)
            self._left = (found.id, time.monotonic())
            self._say(f"{folder}: {result.state} (exit code {result.exit_code})")
