"""A run that stands still says where, ends, and goes on when it is started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.launch import LaunchSpec, launch
from tonsai_pipeline.train.launch.watchdog import HANG_EXIT_CODE, Watchdog
from tonsai_pipeline_tests.train.tiny import make_run


@pytest.mark.slow
def test_a_hang_is_described_ended_and_survived(tiny_data: Path) -> None:
    guards = {"watchdog_s": 8.0, "min_free_gb": 0.0}
    run = make_run(tiny_data, "hanging", backend="torch", guards=guards)
    spec = LaunchSpec(
        "tonsai_pipeline_tests.train.hanging_job",
        run.write(),
        run.output_dir,
        launcher="python",
        threads_per_process=1,
    )
    result = launch(spec)
    assert (result.state, result.exit_code) == ("failed", HANG_EXIT_CODE)
    assert result.may_retry
    assert result.failure["step"] == 3
    assert "stood still" in result.failure["message"]
    assert "while training (train.guards.watchdog_s)" in result.failure["message"]
    stacks = (run.output_dir / "hang-0.txt").read_text()
    assert "in waits_for_a_disk_that_never_answers" in stacks
    again = launch(spec)
    assert again.state == "finished"
    records = read_metrics(run.output_dir / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "train"] == list(range(1, 7))


def test_without_a_limit_nobody_watches(tmp_path: Path) -> None:
    with Watchdog(None, tmp_path, 0) as watchdog:
        watchdog.beat("nothing")
    assert list(tmp_path.iterdir()) == []
