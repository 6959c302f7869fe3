from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.engine.local import PRELOADED, LocalEngine, _interrupts_later
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline_tests.engine.work import (
    is_importable,
    is_loaded,
    is_loaded_after_use,
    pid_after,
    square,
    use_and_leave,
)


@pytest.mark.parametrize("workers", ["engine", "two_workers"])
def test_every_task_gives_its_result_under_its_index(
    workers: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(workers)
    results = dict(engine.map(square, range(50), label="square"))
    assert results == {index: index * index for index in range(50)}


def test_one_worker_stays_in_this_process(engine: Engine) -> None:
    assert [pid for _, pid in engine.map(pid_after, [0.0, 0.0], label="pid")] == [os.getpid()] * 2


def test_one_task_starts_no_worker_but_goes_to_one_that_runs() -> None:
    engine = LocalEngine(2)
    assert [pid for _, pid in engine.map(pid_after, [0.0], label="pid")] == [os.getpid()]
    workers = {pid for _, pid in engine.map(pid_after, [0.2] * 4, label="pid")}
    assert {pid for _, pid in engine.map(pid_after, [0.0], label="pid")} < workers
    engine.close()


def test_two_workers_work_at_the_same_time(two_workers: Engine) -> None:
    pids = {pid for _, pid in two_workers.map(pid_after, [0.2] * 4, label="pid")}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_what_costs_every_worker_is_loaded_once_for_all(two_workers: Engine) -> None:
    # The fork server passes over a name that it cannot import.
    found = two_workers.map(is_loaded, [*PRELOADED, *PRELOADED], label="modules")
    assert all(loaded for _, loaded in found)


def test_no_worker_loads_what_no_stage_needs(two_workers: Engine) -> None:
    unwanted = ["pandas", "scipy.linalg", "awkward", "datasketch"]
    found = two_workers.map(is_loaded_after_use, unwanted, label="modules")
    assert not any(loaded for _, loaded in found)
    assert dict(two_workers.map(is_importable, unwanted, label="modules")) == dict.fromkeys(
        range(4), True
    )


def test_a_closed_engine_starts_again_when_it_is_used() -> None:
    engine = LocalEngine(2)
    for _ in range(2):
        assert len(list(engine.map(square, range(4), label="square"))) == 4
        engine.close()


@pytest.mark.slow
def test_a_process_that_multiprocessing_started_ends_although_its_workers_are_idle() -> None:
    process = multiprocessing.get_context("spawn").Process(target=use_and_leave)
    process.start()
    process.join(60)
    has_ended = process.exitcode == 0
    process.kill()
    assert has_ended


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["killed", "cancelled"])
def test_workers_end_in_the_middle_of_a_part_with_their_parent(
    tmp_path: Path, sent: signal.Signals
) -> None:
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "tonsai_pipeline_tests.engine.work", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root},
    )
    try:
        _wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
        assert all(_is_alive(pid) for pid in pids)
        process.send_signal(sent)
        process.wait(30)
    finally:
        process.kill()
        process.wait()
    _wait_for(lambda: not any(_is_alive(pid) for pid in pids))


def test_a_piece_of_a_result_keeps_nobody_waiting() -> None:
    engine = LocalEngine(2)
    assert len(list(engine.map(square, range(4), label="square"))) == 4
    assert engine._pool is not None
    results: Any = engine._pool._result_queue
    # As a worker leaves it that is killed while it sends: the length of a message, and nothing more.
    os.write(results._writer.fileno(), struct.pack("!i", 1000))
    ended = threading.Thread(target=engine._let_go, daemon=True)
    ended.start()
    ended.join(60)
    assert not ended.is_alive()


def test_an_interrupt_waits_until_a_worker_has_started() -> None:
    came: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("handled"))
    try:
        with _interrupts_later():
            signal.raise_signal(signal.SIGTERM)
            came.append("started")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == ["started", "handled"]


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(RecipeError, match="'dask' is unknown; use 'local' or 'ray'"):
        open_engine("dask")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def _wait_for(condition: object, seconds: float = 60.0) -> None:
    stop = time.monotonic() + seconds
    while not condition():  # pyright: ignore[reportCallIssue]
        assert time.monotonic() < stop
        time.sleep(0.02)


def test_a_signal_for_the_parent_is_left_to_the_parent(two_workers: Engine) -> None:
    [(_, pid), _] = list(two_workers.map(pid_after, [0.2, 0.2], label="pid"))
    os.kill(pid, signal.SIGINT)
    assert len(list(two_workers.map(square, range(4), label="square"))) == 4
