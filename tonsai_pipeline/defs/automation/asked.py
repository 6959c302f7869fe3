"""What was asked for and is not there yet: how often, when last, and whether it may be asked for again.

things that are missing ──ready──▶ those to ask for now ──asked──▶ the sensor's cursor

A thing that is there is forgotten; a thing that changed (another content, other settings) begins anew. Each wait is
twice as long as the one before, and after `MAX_ASKS` only a change or a person asks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg
import orjson

#: A broken code server is mended within a day or two; a corpus that fails a check eight times will fail again.
MAX_ASKS = 8
_FIRST_WAIT_S = 30.0
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Asked:
    """Requests by name of the thing: (its state, number of requests, seconds since the epoch of the last).

    Args:
        cursor: As `cursor` wrote it; None at the beginning.
    """

    def __init__(self, cursor: str | None) -> None:
        self._entries: dict[str, tuple[str, int, float]] = orjson.loads(cursor or "{}")

    def ready(self, missing: Mapping[str, str], now_s: float) -> list[str]:
        """Return what may be asked for now, and forget what is not missing any more.

        Args:
            missing: State by name.
            now_s: Seconds since the epoch.
        """
        self._entries = {
            name: entry for name, entry in self._entries.items() if missing.get(name) == entry[0]
        }
        return [name for name in missing if self._may_ask(name, now_s)]

    def given_up(self) -> list[str]:
        """Return what was asked for too often."""
        return [name for name, (_, num, _) in self._entries.items() if num >= MAX_ASKS]

    def ask(self, names: Iterable[str], missing: Mapping[str, str], now_s: float) -> None:
        """Note a request."""
        for name in names:
            _, num, _ = self._entries.get(name, ("", 0, 0.0))
            self._entries[name] = (missing[name], num + 1, now_s)

    @property
    def cursor(self) -> str:
        """All that is to be remembered."""
        return orjson.dumps(self._entries).decode()

    def _may_ask(self, name: str, now_s: float) -> bool:
        if name not in self._entries:
            return True
        _, num, last_s = self._entries[name]
        return num < MAX_ASKS and now_s - last_s >= _FIRST_WAIT_S * 2 ** (num - 1)


def unfinished_runs(instance: dg.DagsterInstance, *jobs: str) -> list[dg.DagsterRun]:
    """Return the runs of jobs that are waiting or running."""
    return [
        run
        for job in jobs
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=_UNFINISHED))
    ]
