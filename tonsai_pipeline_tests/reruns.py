"""All that may happen to dumps, in one `dagster dev` with its switches on: what comes in, how often, what follows.

    uv run python -m tonsai_pipeline_tests.reruns                     on SQLite
    uv run python -m tonsai_pipeline_tests.reruns --storage postgres  on a server that it starts and stops

Documents are counted: each content of a dump is to be read once, and the shards are to hold those of the dumps there are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tonsai_pipeline_tests.daemon import Daemon, documents
from tonsai_pipeline_tests.postgres import postgres_server

_NUM_AT_ONCE = 30


class Story:
    """Tells what happens to the dumps of a daemon, and counts.

    Args:
        daemon: Runs, with its switches on.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._there: dict[str, int] = {}
        self._num_read = 0

    def drop(self, dump: str, num: int, seed: int) -> Path:
        """Drop a dump of new documents."""
        self.expect(dump, num, num_read=num)
        return self._daemon.drop(dump, documents(num, seed))

    def expect(self, dump: str, num: int, *, num_read: int) -> None:
        """Note what a dump is to hold, and how many documents are read for that."""
        self._there[dump] = num
        self._num_read += num_read

    def remove(self, path: Path, dump: str) -> None:
        """Take a dump away."""
        path.unlink()
        del self._there[dump]

    def settle(self, what: str) -> None:
        """Wait until every dump is in and the shards hold them; see that nothing was read twice."""
        started, daemon = time.monotonic(), self._daemon
        daemon.wait(lambda: self._are_in() and self._are_packed(), what)
        daemon.wait(daemon.is_idle, f"{what}: the last run")
        read = daemon.documents_made()
        assert read == self._num_read, f"{what}: {read} documents were read, not {self._num_read}"
        num = len(daemon.runs())
        _say(f"{what:<44}{time.monotonic() - started:7.0f} s {len(self._there):5} dumps "
             f"{sum(self._there.values()):6} in the shards {read:6} read in all {num:4} runs")  # fmt: skip

    def _are_in(self) -> bool:
        return all(self._daemon.current_documents(d) == num for d, num in self._there.items())

    def _are_packed(self) -> bool:
        return self._daemon.corpus_documents() == sum(self._there.values())


def tell(daemon: Daemon) -> None:
    """Do everything to dumps that people and machines do."""
    story = Story(daemon)
    _say(f"dagster dev answers after {daemon.start():.0f} s")
    daemon.switch_on("new_dumps", "follow_dumps", "say_stale")
    first = story.drop("news@20261101", 20, 1)
    second = story.drop("news@20261102", 20, 2)
    story.settle("dropped")
    kept = daemon.folder / "kept"
    shutil.copy2(first, kept)
    story.drop("news@20261101", 15, 3)
    story.settle("replaced")
    shutil.copy2(kept, first)
    story.expect("news@20261101", 20, num_read=0)
    story.settle("put back as it was (cp -p)")
    story.remove(second, "news@20261102")
    story.settle("removed")
    bad = daemon.store.layout.inbox / "news@20261103.jsonl"
    bad.write_text("{broken\n" * 3)
    story.drop("news@20261104", 10, 4)
    story.settle("one good, one bad")
    daemon.wait(lambda: daemon.set_aside() == ["news@20261103"], "the bad one is set aside")
    _grow(daemon, story)
    story.settle("grew for a while")
    for number in range(_NUM_AT_ONCE):
        story.drop(f"news@202510{number + 1:02}", 5, 100 + number)
    before = len(daemon.runs())
    daemon.wait(lambda: len(daemon.runs()) > before, "a run of many")
    assert daemon.kill("api grpc")
    story.settle(f"{_NUM_AT_ONCE} at once, code server killed (asked for)")
    for number in range(_NUM_AT_ONCE):
        story.drop(f"news@202410{number + 1:02}", 5, 200 + number)
    daemon.wait(lambda: daemon.current_documents("news@20241003"), "the third of many")
    assert daemon.kill("api grpc")
    story.settle(f"{_NUM_AT_ONCE} at once, code server killed (at work)")
    again = {dump: num for dump, num in daemon.made().items() if num != 1}
    assert again == {"news@20261101": 2}, again
    daemon.stop()
    assert not daemon.processes(), "processes stayed behind"
    _say("every content was read once, and no process stayed behind")


def _grow(daemon: Daemon, story: Story) -> None:
    """Write a dump bit by bit, with pauses shorter than a dump needs to settle."""
    whole = daemon.drop("news@20261105", documents(12, 5)).read_text().splitlines(keepends=True)
    path = daemon.store.layout.inbox / "news@20261105.jsonl"
    path.write_text("")
    for line in whole:
        with path.open("a") as file:
            file.write(line)
        time.sleep(4)
    assert daemon.current_documents("news@20261105") == 0, "it was read while it grew"
    story.expect("news@20261105", len(whole), num_read=len(whole))


@contextmanager
def _storage(name: str) -> Iterator[dict[str, object] | None]:
    if name == "sqlite":
        yield None
        return
    with postgres_server() as url:
        yield {"postgres": {"postgres_url": url}}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(storage: str) -> None:
    """Tell the story on a new instance in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="tonsai-reruns-"))
    try:
        with _storage(storage) as settings:
            daemon = Daemon(folder, storage=settings)
            try:
                tell(daemon)
            finally:
                daemon.kill("")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", choices=["sqlite", "postgres"], default="sqlite")
    main(parser.parse_args().storage)
