"""After `tonsai warm-up` no stage has anything to compile: its calls have the types of the stages'."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from tonsai_pipeline.cli.warm_up import TASKS, compile_kernels
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline_tests.lineage.worlds import World


def compiled() -> set[tuple[str, str]]:
    """Return the kernels that this process has called, each with the types of its arguments."""
    modules = [
        module for name, module in sys.modules.items() if name.startswith("tonsai_pipeline.")
    ]
    return {
        (f"{one.py_func.__module__}.{one.py_func.__name__}", str(signature))
        for module in modules
        for one in vars(module).values()
        if isinstance(one, Dispatcher)
        for signature in one.signatures
    }


def build_after_warm_up(folder: Path) -> None:
    """Write `found.json`: what a corpus needed beyond what was warmed up."""
    for task in TASKS:
        compile_kernels(task)
    before = compiled()
    world = World(folder, LocalEngine(1))
    world.fill()
    (world.folder / "data" / "quiz.txt").write_text("seven of these words are asked of readers\n")
    world.sections["dedup"] = {
        "decontaminate": {"evaluation_sets": [{"name": "quiz", "path": "quiz.txt"}]},
        "repetition": {"enabled": True},
    }
    world.build()
    found = {"num_warm": len(before), "more": sorted(compiled() - before)}
    (folder / "found.json").write_text(json.dumps(found))


@pytest.mark.slow
def test_no_stage_compiles_anything_after_it(tmp_path: Path) -> None:
    # In a process of its own: tests before this one have called kernels with other types.
    call = "import pathlib, sys; from tonsai_pipeline_tests.cli import test_warm_up as this"
    call += "; this.build_after_warm_up(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", call, str(tmp_path)], check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["more"] == []
    assert found["num_warm"] > len(TASKS)
