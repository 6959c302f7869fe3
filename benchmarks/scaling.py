"""Generated dumps of growing size through every data stage, one process -> CPU seconds a GB, and what is fixed.

    dumps of 1x, 4x, 8x ──each stage alone, CPU time──▶ stage_costs.json, which `tonsai plan --corpus-bytes` reads

CPU seconds, not wall: what else the machine does is not counted. The text is that of `tonsai demo`, half Khmer.

uv run python -m benchmarks.scaling [--scales 1 4 8] [--output FILE]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.builders import open_in
from tonsai_pipeline.lineage.builder import all_dumps
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.planner.corpus_cost import COSTS_NAME
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.recipe.tokenizer import SampleConfig
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps

LAST = "packed_shards"
#: Stages that read a sample: beyond it they cost no more. Bytes of text, at 60 % Khmer.
SAMPLED = {"tokenizer": 2 * SampleConfig().max_content_bytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 4, 8], help="1: some 4 MB")
    parser.add_argument("--output", type=Path, help="where the table goes; printed without")
    told = parser.parse_args()
    measure(0.25)  # kernels are compiled
    runs = [measure(scale) for scale in told.scales]
    table = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "hardware": f"one core, {cpu_name()}, Python {platform.python_version()}",
        "text": f"generated, {runs[0][0] / 1e6:.1f} to {runs[-1][0] / 1e6:.1f} MB",
        "stages": {
            name: fit(runs, name) | ({"sample_bytes": SAMPLED[name]} if name in SAMPLED else {})
            for name in runs[0][1]
        },
    }
    content = json.dumps(table, indent=2)
    print(content)
    if told.output:
        (told.output / COSTS_NAME).write_text(content + "\n", encoding="utf-8")


def measure(scale: float) -> tuple[int, dict[str, float]]:
    """Build everything; return the bytes of text that came in, and the CPU seconds of each stage."""
    root = Path(tempfile.mkdtemp())
    recipe = load_recipe("demo")
    write_synthetic_dumps(Layout(root, recipe.name).inbox, scale=scale)
    builder = open_in(root, recipe)
    costs, num_bytes = {}, 0
    for name in PIPELINE.up_to(LAST):
        start = time.process_time()
        made = [builder.build(name, d) for d in all_dumps(builder.dumps.versions, PIPELINE[name])]
        costs[name] = time.process_time() - start
        if name == "raw_documents":
            num_bytes = sum(one.report["num_bytes"] for one in made)
    shutil.rmtree(root)
    return num_bytes, costs


def fit(runs: list[tuple[int, dict[str, float]]], name: str) -> dict[str, float]:
    """Fit seconds = fixed + slope x bytes."""
    sizes = np.array([size for size, _ in runs]) / 1e9
    slope, fixed = np.polyfit(sizes, [costs[name] for _, costs in runs], 1)
    return {
        "cpu_s_per_gb": round(float(max(slope, 0)), 2),
        "fixed_cpu_s": round(float(max(fixed, 0)), 2),
    }


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


if __name__ == "__main__":
    main()
