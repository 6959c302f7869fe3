"""Quality and mixture, measured: limits, drops, classifiers on unseen junk, speed beside datatrove, shares.

    uv run --group bench python -m benchmarks.quality --data FOLDER [--json] [--only percentiles,drops,...]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`). What is measured, on what, and the numbers of
the last run are in docs/quality.md and docs/mixture.md. The word tokenizers of datatrove (`speed`) are installed
into the user's cache by uv.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import sections, word_tokenizers

# One core: read by BLAS and OpenMP when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SECTIONS = (
    "percentiles",
    "form",
    "labels",
    "ocr",
    "drops",
    "classifier",
    "known",
    "line",
    "speed",
    "shares",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--work", type=Path, help="scratch folder; a temporary one by default")
    parser.add_argument(
        "--unseen", type=Path, help="`form`: user interfaces of other programs, khm.txt and eng.txt"
    )
    parser.add_argument("--peer-kb", type=int, default=100, help="text datatrove is timed on")
    parser.add_argument("--vocab-size", type=int, default=2048, help="vocabulary of `shares`")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, SECTIONS)
    if "speed" in chosen:
        word_tokenizers.find()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        results = {name: run(name, options, work) for name in SECTIONS if name in chosen}
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for name, rows in results.items():
        show(name, rows)


def run(name: str, options: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Run one section."""
    if name == "percentiles":
        from benchmarks.quality import percentiles

        return percentiles.measure_percentiles(options.data)
    if name == "form":
        from benchmarks.quality import form

        return form.fit_form(options.data, options.unseen)
    if name == "labels":
        from benchmarks.quality import labels

        return labels.measure_losses(options.data)
    if name == "ocr":
        from benchmarks.quality import failed_ocr

        return failed_ocr.measure_failed(options.data)
    if name == "drops":
        from benchmarks.quality import drops

        return drops.measure_drops(options.data, work / "corpus")
    if name == "classifier":
        from benchmarks.quality import classifier

        return classifier.measure_auc(options.data, work / "corpus")
    if name == "known":
        from benchmarks.quality import classifier

        return classifier.measure_known(options.data, work / "corpus")
    if name == "line":
        from benchmarks.quality import line

        return line.measure_line(options.data, work / "line")
    if name == "speed":
        from benchmarks.quality import speed

        return speed.measure_speed(options.data, work / "corpus", peer_kb=options.peer_kb)
    from benchmarks.quality import shares

    return shares.measure_shares(options.data, work / "shares", vocab_size=options.vocab_size)


def show(name: str, rows: list[dict[str, Any]]) -> None:
    """Print a section as a Markdown table."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    print(f"\n{name}\n\n| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    for row in rows:
        print("| " + " | ".join(cell(row.get(key, "")) for key in header) + " |")


def cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
