"""Readers of raw dumps, measured: speed beside other readers, and what a fault costs.

    uv run --group bench python -m benchmarks.read --data FOLDER [--json] [--only speed,faults]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`). The numbers of the last run are in docs/data.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import sections

SECTIONS = ("speed", "faults")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--megabytes", type=int, default=30, help="text of each file in `speed`")
    parser.add_argument("--repeats", type=int, default=3, help="turns of `speed`; the best counts")
    parser.add_argument("--records", type=int, default=10_000, help="records of a file in `faults`")
    parser.add_argument("--formats", help="formats, by comma; all without it")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, SECTIONS)
    names = (name for name in SECTIONS if name in chosen)
    sections.run_each(names, lambda name, work: run(name, options, work), as_json=options.json)


def run(name: str, options: argparse.Namespace, work: Path) -> dict[str, object]:
    """Run one section."""
    from benchmarks.read import files, speed

    texts = files.real_texts(options.data)
    formats = options.formats.split(",") if options.formats else None
    if name == "faults":
        from benchmarks.read import faults

        return faults.measure(texts, work, num_records=options.records, formats=formats)
    return speed.measure(
        texts, work, num_bytes=options.megabytes << 20, repeats=options.repeats, formats=formats
    )


if __name__ == "__main__":
    main()
