"""The script that measures a GPU runs to its end without one: the same code, a tiny network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.train.gpu"]

pytestmark = pytest.mark.slow


@pytest.mark.skipif(
    not (ROOT / "benchmarks").exists(), reason="the package is installed without its benchmarks"
)
def test_every_case_runs_on_a_cpu_and_the_verdict_is_filled(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--dry", "--json", "--work", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Libraries that are installed beside write lines of their own when they are loaded.
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert set(found) == {
        "device", "attention", "sweep", "memory", "backends", "resume", "batch", "verdict",
    }  # fmt: skip
    assert "dry run" in found["device"]["name"]
    assert found["verdict"]["exact resume"] is True
    for case in found["sweep"].values():
        assert case["num_parameters"] == found["sweep"]["micro 16"]["num_parameters"]
        assert case["tokens_per_s"] > 0
        assert case["compiled_extensions"] == []
        assert case["mfu"] is None  # a CPU promises nothing
    kept, in_parts = found["sweep"]["micro 16"], found["memory"]["logits in parts of 8,192"]
    assert in_parts["final_loss"] == pytest.approx(kept["final_loss"], rel=1e-5)
    assert found["attention"]["heads of 64"]["error_forward"] < 1e-5


def test_without_a_gpu_and_without_dry_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--only", "resume", "--work", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 1
    assert "--dry" in done.stderr
