"""Near-duplicate removal, measured: speed, recall and precision, peers, planted truth, scale.

    uv run --group bench python -m benchmarks.dedup --data FOLDER [--json] [--only kernels,recall,...]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`). What is measured, on what, and the numbers of
the last run are in docs/dedup.md. The word tokenizers of `datatrove` are installed into the user's cache by uv.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks import sections, word_tokenizers
from benchmarks.show import show

# The peers' own threads would not be one core; read by Rust and BLAS when they are loaded.
os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

SECTIONS = ("kernels", "windows", "recall", "sample", "datatrove", "scale")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--documents", type=int, default=1_000_000, help="documents of `scale`")
    parser.add_argument("--workers", type=int, default=2, help="processes of `scale`")
    parser.add_argument(
        "--work", type=Path, help="folder for the corpora; a temporary one by default"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, SECTIONS)
    if "datatrove" in chosen:
        word_tokenizers.find()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        results = {name: run(name, options, work / name) for name in SECTIONS if name in chosen}
    if options.json:
        print(json.dumps(results, indent=1))


def run(name: str, options: argparse.Namespace, work: Path) -> object:
    """Run one section and print its table unless JSON is asked for."""
    if name == "kernels":
        from benchmarks.dedup import kernels

        result = kernels.measure(options.data)
    elif name == "windows":
        from benchmarks.dedup import windows

        result = windows.measure(options.data)
    elif name == "recall":
        from benchmarks.dedup import recall

        result = recall.measure(options.data, work)
    elif name == "sample":
        from benchmarks.dedup import planted

        result = planted.measure(work)
    elif name == "datatrove":
        from benchmarks.dedup import peers

        result = peers.measure(options.data, work)
    else:
        from benchmarks.dedup import scale

        result = scale.measure(work, num_documents=options.documents, num_workers=options.workers)
    if not options.json:
        show(name, result)
    return result


if __name__ == "__main__":
    main()
