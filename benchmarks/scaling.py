"""Generated dumps of growing size through every data stage -> how CPU time and peak memory grow, and the cost of a GB.

    dumps of 1x, 4x, 16x, 64x ──each stage in a process of its own──▶ CPU seconds, peak memory
        ├─▶ stage_costs.json, which `tonsai plan --corpus-bytes` reads
        └─▶ table of growth: exponents of CPU time, peaks

CPU seconds of one process, not wall: what else the machine does is counted only as far as it shares caches; the least
of some turns. The text is that of `tonsai demo`,
half Khmer, in eight formats; no two documents are alike but for those that are planted. For the table of growth
parts, shards and the tokenizer's sample are small, so that even 1x has several of each and fills its sample: memory
must follow these settings, not the corpus. For the table of costs they are as the recipe has them.

uv run python -m benchmarks.scaling [--base 1] [--times 1 4 16 64] [--turns 1] [--json FILE]
uv run python -m benchmarks.scaling --times 1 4 8 --output tonsai_pipeline/planner
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from benchmarks.builders import open_in, peak_mb
from tonsai_pipeline.engine import preloaded  # noqa: F401 - imported before the clock starts
from tonsai_pipeline.lineage.builder import all_dumps
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.planner.corpus_cost import COSTS_NAME
from tonsai_pipeline.recipe import load_recipe, parse_recipe
from tonsai_pipeline.recipe.tokenizer import SampleConfig
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps
from tonsai_pipeline.text import NormalizeOptions, languages_batch, normalize_batch_report

T = TypeVar("T")

LAST = "packed_shards"
#: Seconds below which nothing is said about growth.
LEAST_S = 0.1
#: Small parts, shards and samples.
SETTINGS: dict[str, dict[str, object]] = {
    "ingest": {"part_bytes": 1 << 18},
    "packing": {"shard_rows": 256},
    "tokenizer": {"sample": {"max_content_bytes": 150_000}},
}
#: Stages that read a sample: beyond it they cost no more. Bytes of text, at 60 % Khmer.
SAMPLED = {"tokenizer": 2 * SampleConfig().max_content_bytes}

Run = dict[str, dict[str, float]]
"""Of each stage: `cpu_s`, `peak_mb`; of `raw_documents` also `num_bytes`, the text of all documents."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=float, default=1, help="size of 1x; 1 is some 4 MB")
    parser.add_argument("--times", type=float, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--turns", type=int, default=1, help="runs of each size, in turns")
    parser.add_argument("--output", type=Path, help="folder for the table of costs, made instead")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # kernels are compiled
        alone(write, Path(folder), 0.05)
        alone(run_stages, Path(folder))
    settings = {} if told.output else SETTINGS
    runs: dict[float, Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        roots = {times: Path(folder, f"{times:g}x") for times in told.times}
        for times, root in roots.items():
            alone(write, root, told.base * times)
        for _ in range(told.turns):
            for times, root in roots.items():
                found = measure(root, settings)
                runs[times] = least(runs[times], found) if times in runs else found
                if told.json:
                    told.json.write_text(json.dumps(runs, indent=1), encoding="utf-8")
    print(growth(runs))
    if told.output:
        content = json.dumps(costs(list(runs.values())), indent=2) + "\n"
        (told.output / COSTS_NAME).write_text(content, encoding="utf-8")


def measure(root: Path, settings: dict[str, dict[str, object]]) -> Run:
    """Build every asset of the dumps below `root`, each in a process of its own; leave the dumps alone there."""
    run = {name: alone(run_stage, name, root, settings) for name in PIPELINE.up_to(LAST)}
    for path in root.iterdir():
        if path.name != "inbox":
            shutil.rmtree(path)
    return run


def least(one: Run, other: Run) -> Run:
    """Return what the machine disturbed least of two runs on the same text."""
    return {
        stage: {name: min(number, other[stage][name]) for name, number in numbers.items()}
        for stage, numbers in one.items()
    }


def alone(function: Callable[..., T], *arguments: object) -> T:
    """Return what a function returns in a process forked from this one, which did no work itself."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def write(root: Path, scale: float) -> None:
    """Write dumps into the inbox below `root`."""
    write_synthetic_dumps(Layout(root, "demo").inbox, scale=scale)


def run_stages(root: Path) -> None:
    """Build all assets."""
    for name in PIPELINE.up_to(LAST):
        run_stage(name, root, {})


def run_stage(stage: str, root: Path, changes: dict[str, dict[str, object]]) -> dict[str, float]:
    """Build one asset of what the processes before left below `root`."""
    settings = load_recipe("demo").model_dump()
    for section, values in changes.items():
        settings[section] |= values
    builder = open_in(root, parse_recipe(settings, where="demo"))
    # The compiled kernels are loaded, as by the first part of a worker.
    texts = pa.array(["\u1781\u17d2\u1798\u17c2\u179a and English words"], pa.large_string())
    normalize_batch_report(texts, NormalizeOptions())
    languages_batch(texts)
    start = time.process_time()
    made = [builder.build(stage, d) for d in all_dumps(builder.dumps.versions, PIPELINE[stage])]
    found = {"cpu_s": time.process_time() - start, "peak_mb": peak_mb()}
    if stage == "raw_documents":
        found["num_bytes"] = sum(one.report["num_bytes"] for one in made)
    return found


def growth(runs: dict[float, Run]) -> str:
    """Return the table: CPU seconds at every size, their exponent without what is fixed, and peaks."""
    times = sorted(runs)
    heads = " | ".join(f"{one:g}x, CPU s" for one in times)
    lines = [
        f"| stage | {heads} | exponent | peak at {', '.join(f'{one:g}x' for one in times)}, MB | ratio |",
        "|---|" + "---:|" * (len(times) + 3),
    ]
    for name in runs[times[0]]:
        spent = [runs[one][name]["cpu_s"] for one in times]
        peaks = [runs[one][name]["peak_mb"] for one in times]
        power = exponent(times, spent)
        cells = [f"{one:.2f}" for one in spent]
        cells += ["" if power is None else f"{power:.2f}", ", ".join(f"{one:.0f}" for one in peaks)]
        lines.append(
            f"| {name.replace('_', ' ')} | {' | '.join(cells)} | {max(peaks) / peaks[0]:.2f} |"
        )
    return "\n".join(lines)


def exponent(times: list[float], seconds: list[float]) -> float | None:
    """Return the power of the size that costs grow with, from what each step adds: what is fixed falls out.

    Returns:
        None where fewer than two steps add a tenth of a second, which is noise.

    Example:
        >>> round(exponent([1, 4, 16, 64], [0.5 + 0.1 * size for size in [1, 4, 16, 64]]), 6)
        1.0
    """
    steps, added = np.diff(times), np.diff(seconds)
    told = added >= LEAST_S
    if told.sum() < 2:
        return None
    return float(np.polyfit(np.log(steps[told]), np.log(added[told]), 1)[0])


def costs(runs: list[Run]) -> dict[str, object]:
    """Return the table of costs."""
    sizes = [one["raw_documents"]["num_bytes"] for one in runs]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "hardware": f"one core, {cpu_name()}, Python {platform.python_version()}",
        "text": f"generated, {sizes[0] / 1e6:.1f} to {sizes[-1] / 1e6:.1f} MB",
        "stages": {
            name: fit(sizes, [one[name]["cpu_s"] for one in runs])
            | ({"sample_bytes": SAMPLED[name]} if name in SAMPLED else {})
            for name in runs[0]
        },
    }


def fit(sizes: list[float], seconds: list[float]) -> dict[str, float]:
    """Fit seconds = fixed + slope x bytes."""
    slope, fixed = np.polyfit(np.array(sizes) / 1e9, seconds, 1)
    return {
        "cpu_s_per_gb": round(float(max(slope, 0)), 2),
        "fixed_cpu_s": round(float(max(fixed, 0)), 2),
    }


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


if __name__ == "__main__":
    main()
