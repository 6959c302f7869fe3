"""What passes between asking for a stage and its own work, by stage: on a tiny corpus, with compiled kernels.

    a process's start ─python, imports, recipe, catalog, keys─▶ the stage's function ─modules, kernels, models─▶ a document
    a request, warm   ─keys, building folder─▶ the stage's function

uv run python -m benchmarks.startup [--turns 3]

*Fresh*: a new process until the stage's function is called, and what its first call takes beyond the second one.
*Warm*: a builder that has looked at nothing yet, in a process that has run the stage before. The least of some turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.builders import open_in
from tonsai_pipeline.engine.local import PRELOADED
from tonsai_pipeline.lineage.builder import all_dumps
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps

_LAST = "packed_shards"
_SCALE = 0.05
#: A worker loads the main module again: this one must not count. The second engine finds the fork server running.
_WORKERS = """
import json, resource, time
from tonsai_pipeline.engine.local import LocalEngine
for engine in (LocalEngine(2), LocalEngine(2)):
    started = time.perf_counter()
    used = dict(engine.map(resource.getrusage, [resource.RUSAGE_SELF] * 2, label="start"))
    wall = time.perf_counter() - started
    engine.close()
print(json.dumps([min(one.ru_utime + one.ru_stime for one in used.values()), wall]))
"""
#: CPU seconds, wall seconds.
Seconds = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="the least counts")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.child:
        stage, root, started = told.child
        print(json.dumps(_stage(stage, Path(root), float(started))))
        return
    lines = ["| process | CPU s | wall s |", "|---|---:|---:|"]
    for name, measure in _processes().items():
        seconds = _least([measure() for _ in range(told.turns)])
        lines.append(f"| {name} | {seconds[0]:.2f} | {seconds[1]:.2f} |")
    print("\n".join(lines), flush=True)
    print("\n| stage | fresh, CPU s | wall s | of it first use, CPU s | warm, CPU s | wall s |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for stage in _build(Path(folder)):
            found = [_fresh(stage, folder) for _ in range(told.turns)]
            called, first, warm = (_least([one[name] for one in found]) for name in found[0])
            print(
                f"| {stage} | {called[0] + first[0]:.2f} | {called[1] + first[1]:.2f} | {first[0]:.2f} "
                f"| {warm[0]:.3f} | {warm[1]:.3f} |",
                flush=True,
            )


def _processes() -> dict[str, Callable[[], Seconds]]:
    return {
        "fork server, once a run": lambda: _imports(PRELOADED),
        "worker of a running fork server, until its first task": _worker,
        "process of a Dagster run: the graph": lambda: _imports(["tonsai_pipeline.definitions"]),
        "command line": lambda: _imports(["tonsai_pipeline.cli"]),
    }


def _imports(modules: Sequence[str]) -> Seconds:
    """Start Python and import."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def _worker() -> Seconds:
    """Start workers of a fork server that runs."""
    return json.loads(subprocess.check_output([sys.executable, "-c", _WORKERS]))


def _build(root: Path) -> list[str]:
    """Make every artifact of a tiny corpus; return the stages."""
    write_synthetic_dumps(Layout(root, "demo").inbox, scale=_SCALE)
    builder = open_in(root, load_recipe("demo"))
    for name in PIPELINE.up_to(_LAST):
        for dump in all_dumps(builder.dumps.versions, PIPELINE[name]):
            builder.build(name, dump)
    dump = next(iter(builder.dumps.versions))
    wanted = {PIPELINE[name].asset for name in PIPELINE.up_to(_LAST)}
    return [
        stage.name
        for stage in PIPELINE
        if stage.asset in wanted and builder.find(stage.name, dump if stage.each_dump else None)
    ]


def _fresh(stage: str, root: str) -> dict[str, Seconds]:
    command = [sys.executable, "-m", "benchmarks.startup", "--child", stage, root]
    started = str(time.monotonic())
    done = subprocess.run([*command, started], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _stage(name: str, root: Path, started: float) -> dict[str, Seconds]:
    """Make the first dump's artifact of a stage, or the corpus's, three times.

    Args:
        name: The stage.
        root: With everything made.
        started: When this process was asked for, by the monotonic clock.
    """
    # As in a worker, and in a run's process.
    from tonsai_pipeline.engine import preloaded  # noqa: F401

    turns = [_make(name, root) for _ in range(3)]
    (_, _, called, first), (_, _, _, second), (asked, _, again, third) = turns
    least = _least([second, third])
    return {
        "called": (called[0], called[1] - started),
        "first use": (max(0.0, first[0] - least[0]), max(0.0, first[1] - least[1])),
        "warm": (again[0] - asked[0], again[1] - asked[1]),
    }


def _make(name: str, root: Path) -> tuple[Seconds, Path, Seconds, Seconds]:
    """Make an artifact anew; return when it was asked for, where it is, when its function was called, what that took."""
    stage = PIPELINE[name]
    builder = open_in(root, load_recipe("demo"))
    dump = next(iter(builder.dumps.versions)) if stage.each_dump else None
    made = builder.find(name, dump)
    assert made is not None
    shutil.rmtree(made.path)
    times: list[Seconds] = []

    def work(**arguments: Any) -> Any:
        times.append(_now())
        report = stage.make(**arguments)  # pyright: ignore[reportOptionalCall]
        times.append(_now())
        return report

    builder = open_in(root, load_recipe("demo"))
    asked = _now()
    path = builder.build(name, dump, make=work).path
    called, done = times
    return asked, path, called, (done[0] - called[0], done[1] - called[1])


def _now() -> Seconds:
    return time.process_time(), time.monotonic()


def _least(found: Sequence[Seconds]) -> Seconds:
    return min(cpu for cpu, _ in found), min(wall for _, wall in found)


if __name__ == "__main__":
    main()
