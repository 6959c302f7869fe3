"""What Dagster costs beside the work: many dumps new, and the same again unchanged.

uv run python -m benchmarks.orchestration --dumps 100 --bytes 1000000

overhead of a new dump = (CPU time of `tonsai run` - CPU time of the same stages without Dagster) / dumps
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.show import show
from tonsai_pipeline.missing import DUMP_ASSETS

_RECIPE = """
name: orchestration
sources: [{name: eng_news, lang: eng}]
"""
#: Builds the same artifacts in one process, as `tonsai run` does, but tells nobody.
_ALONE = """
from tonsai_pipeline.defs.resources import open_workspace
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.missing import DUMP_ASSETS
from tonsai_pipeline.pipeline import dumps_on_disk, open_builder
import tonsai_pipeline.cli.graph
recipe, place = open_workspace("recipe.yaml")
view = dumps_on_disk(recipe, place.store(recipe), place.data_folder())
builder = open_builder(recipe, place.store(recipe), view, engine=lambda: open_engine("local", num_workers=1))
for dump in view.versions:
    for name in DUMP_ASSETS:
        builder.build(name, dump)
"""


def main(num_dumps: int, num_bytes: int) -> dict[str, float]:
    """Measure in a temporary folder; seconds of wall clock and of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "recipe.yaml").write_text(_RECIPE)
        for home in ("alone", "dagster"):
            _write(place / home / "inbox" / "orchestration", num_dumps, num_bytes)
        select = ",".join(DUMP_ASSETS)
        run = ["-m", "tonsai_pipeline", "run", "-r", "recipe.yaml", "-j", "1", "-s", select]
        # numba compiles in the first process of a machine.
        _seconds(place, "alone", ["-c", _ALONE + "    break\n"])
        _, alone = _seconds(place, "alone", ["-c", _ALONE])
        new_wall, new = _seconds(place, "dagster", run)
        wall, unchanged = _seconds(place, "dagster", run)
    return {
        "stages_alone_cpu_s": alone,
        "new_dumps_cpu_s": new,
        "new_dumps_wall_s": new_wall,
        "overhead_of_a_new_dump_cpu_s": (new - alone) / num_dumps,
        "unchanged_cpu_s": unchanged,
        "unchanged_wall_s": wall,
    }


def _write(inbox: Path, num_dumps: int, num_bytes: int) -> None:
    inbox.mkdir(parents=True)
    for number in range(num_dumps):
        line = f"In village {number} a school stands by the river, and children walk to it with books. "
        row = json.dumps({"text": line * 20}) + "\n"
        path = inbox / f"eng_news@{20000101 + number}.jsonl"
        path.write_text(row * max(1, num_bytes // len(row)))
        os.utime(path, (time.time() - 60,) * 2)


def _seconds(place: Path, home: str, command: list[str]) -> tuple[float, float]:
    """Run Python; return seconds of wall clock, and of CPU of it and its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    env = {**os.environ, "TONSAI_HOME": str(place / home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    subprocess.run([sys.executable, *command], cwd=place, env=env, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dumps", type=int, default=100)
    parser.add_argument("--bytes", type=int, default=1_000_000)
    given = parser.parse_args()
    show(f"{given.dumps:,} dumps of {given.bytes:,} bytes", main(given.dumps, given.bytes))
