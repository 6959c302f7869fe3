from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError, PartError
from tonsai_pipeline_tests.engine.work import write_text


def parts(*payloads: str) -> list[Part]:
    return [Part(f"part-{payload}", payload) for payload in payloads]


def runs(folder: Path, payload: str) -> int:
    return len(list((folder / "runs").glob(f"{payload}-*")))


@pytest.mark.parametrize("workers", ["engine", "two_workers"])
def test_results_come_in_the_order_of_the_parts(
    workers: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine: Engine = request.getfixturevalue(workers)
    names = [str(index) * (1 + index % 3) for index in range(20)]
    results = map_parts(engine, write_text, parts(*names), folder=tmp_path, label="write")
    assert [result["num_chars"] for result in results] == [len(name) for name in names]
    assert (tmp_path / "7.txt").exists() == ("7" in names)


@pytest.mark.parametrize("workers", ["engine", "two_workers"])
def test_an_error_of_ours_gets_stage_and_part_and_keeps_its_kind(
    workers: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine: Engine = request.getfixturevalue(workers)
    with pytest.raises(DataError, match=r"^write: part part-ours: a\.jsonl: row 3: broken$"):
        map_parts(engine, write_text, parts("a", "ours", "b"), folder=tmp_path, label="write")


@pytest.mark.parametrize("workers", ["engine", "two_workers"])
def test_any_other_error_names_stage_part_and_cause(
    workers: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine: Engine = request.getfixturevalue(workers)
    with pytest.raises(
        PartError, match=r"^write: part part-theirs: ZeroDivisionError: division by zero$"
    ) as caught:
        map_parts(engine, write_text, parts("theirs", "b"), folder=tmp_path, label="write")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("workers", ["engine", "two_workers"])
def test_a_full_disk_is_told_as_such(
    workers: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine: Engine = request.getfixturevalue(workers)
    with pytest.raises(OSError, match="No space left") as caught:
        map_parts(engine, write_text, parts("full", "b"), folder=tmp_path, label="write")
    assert caught.value.errno == errno.ENOSPC


def test_a_worker_that_is_killed_is_told_with_the_parts_it_may_have_been(tmp_path: Path) -> None:
    engine = LocalEngine(2)
    with pytest.raises(PartError, match=r"^write: a worker process died.*part-die.*memory"):
        map_parts(engine, write_text, parts("die", "a", "b", "c"), folder=tmp_path, label="write")
    assert map_parts(engine, write_text, parts("a", "b", "c"), folder=tmp_path, label="write")
    engine.close()


def test_a_rerun_does_only_what_is_not_done(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(PartError):
        map_parts(
            engine, write_text, parts("a", "b", "theirs", "c"), folder=tmp_path, label="write"
        )
    results = map_parts(
        engine, write_text, parts("a", "b", "c", "d"), folder=tmp_path, label="write"
    )
    assert [result["num_chars"] for result in results] == [1, 1, 1, 1]
    assert [runs(tmp_path, payload) for payload in "abcd"] == [1, 1, 1, 1]


def test_a_mark_that_a_power_failure_left_empty_is_no_mark(engine: Engine, tmp_path: Path) -> None:
    first = map_parts(engine, write_text, parts("a", "b"), folder=tmp_path, label="write")
    (tmp_path / ".done" / "part-a.json").write_bytes(b"")
    again = map_parts(engine, write_text, parts("a", "b"), folder=tmp_path, label="write")
    assert again == first
    assert (runs(tmp_path, "a"), runs(tmp_path, "b")) == (2, 1)


def test_no_parts_are_no_work(engine: Engine, tmp_path: Path) -> None:
    assert map_parts(engine, write_text, [], folder=tmp_path, label="write") == []


def test_names_that_repeat_are_refused_before_any_work(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unique; repeated: part-a"):
        map_parts(engine, write_text, parts("a", "b", "a"), folder=tmp_path, label="write")
    assert not (tmp_path / "a.txt").exists()


def test_after_a_failure_no_more_than_a_window_of_parts_was_begun(tmp_path: Path) -> None:
    engine = LocalEngine(2)
    names = ["theirs", *(f"n{index}" for index in range(200))]
    with pytest.raises(PartError, match="part-theirs"):
        map_parts(engine, write_text, parts(*names), folder=tmp_path, label="write")
    assert len(list(tmp_path.glob("n*.txt"))) < 50
