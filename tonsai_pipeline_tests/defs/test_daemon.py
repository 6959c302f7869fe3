"""In a real `dagster dev`, with the code server killed: dumps are ingested once each, and the shards follow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tonsai_pipeline_tests.daemon import Daemon, documents

DUMP = "news@20261101"


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    folder = Path(tempfile.mkdtemp(prefix="tonsai-daemon-"))
    daemon = Daemon(folder, module="tonsai_pipeline_tests.quick_definitions")
    try:
        yield daemon
    finally:
        daemon.kill("")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_dump_comes_in_once_and_shards_follow_though_the_code_server_is_killed(
    daemon: Daemon,
) -> None:
    daemon.start()
    daemon.drop(DUMP, documents(20, 1))
    daemon.switch_on("new_dumps", "follow_dumps")
    daemon.wait(daemon.runs, "a run")
    assert daemon.kill("api grpc"), "the code server was there"
    daemon.wait(lambda: daemon.corpus_documents() == 20, "shards")
    daemon.wait(daemon.is_idle, "the end of the last run")
    assert daemon.made() == {DUMP: 1}
    assert daemon.documents_made() == 20
    daemon.stop()
    assert daemon.processes() == []
