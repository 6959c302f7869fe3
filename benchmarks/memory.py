"""Peak memory of every data asset on 1x and 8x input: it should stay flat.

    uv run python -m benchmarks.memory [--small 1] [--times 8] [--json]

Writes generated dumps of both sizes, builds each asset in a process of its own with one worker, and prints the
peak resident memory, and the part of it above what the process had after its imports.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from benchmarks.builders import build, open_in
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.recipe import load_recipe, parse_recipe
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps
from tonsai_pipeline.text import NormalizeOptions, languages_batch, normalize_batch_report

#: Small parts, shards and samples, so that even the small input has several of each and fills its sample: memory
#: must follow these settings, not the corpus.
SETTINGS = {
    "ingest": {"part_bytes": 1 << 20},
    "packing": {"shard_rows": 1024},
    "tokenizer": {"sample": {"max_content_bytes": 250_000}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--small", type=float, default=1.0, help="scale of the small sample (1: 4 MB)"
    )
    parser.add_argument(
        "--times", type=float, default=8.0, help="how many times larger the other is"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.root)))
        return
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, scale in (("small", options.small), ("large", options.small * options.times)):
            root = Path(folder) / name
            write_synthetic_dumps(Layout(root, "demo").inbox, scale=scale)
            for stage in PIPELINE.up_to("packed_shards"):
                rows.setdefault(stage, {})[name] = measure(stage, root)
    report(rows, as_json=options.json)


def measure(stage: str, root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.memory", "--stage", stage, "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{stage}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def report(rows: dict[str, dict[str, dict[str, float]]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'asset':<24} {'small MB':>9} {'large MB':>9} {'ratio':>6}   {'above imports, MB':>20}   seconds"
    )
    for stage, row in rows.items():
        small, large = row["small"], row["large"]
        ratio = large["peak_mb"] / small["peak_mb"]
        print(
            f"{stage:<24} {small['peak_mb']:>9.0f} {large['peak_mb']:>9.0f} {ratio:>6.2f}   "
            f"{small['above_imports_mb']:>9.0f} {large['above_imports_mb']:>10.0f}   "
            f"{small['elapsed_s']:.1f} {large['elapsed_s']:.1f}"
        )


def peak_mb() -> float:
    """Return the peak of this process alone; that of `getrusage` begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def run_stage(stage: str, root: Path) -> dict[str, float]:
    """Build one asset of what the processes before left below `root`."""
    settings = load_recipe("demo").model_dump()
    for section, values in SETTINGS.items():
        settings[section] |= values
    builder = open_in(root, parse_recipe(settings, where="demo"))
    # The compiled kernels count as imports.
    texts = pa.array(["\u1781\u17d2\u1798\u17c2\u179a and English words"], pa.large_string())
    normalize_batch_report(texts, NormalizeOptions())
    languages_batch(texts)
    before = peak_mb()
    seconds = build(builder, [stage])[stage]
    peak = peak_mb()
    return {"peak_mb": peak, "above_imports_mb": peak - before, "elapsed_s": seconds}


if __name__ == "__main__":
    main()
