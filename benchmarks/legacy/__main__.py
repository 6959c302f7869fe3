"""Legacy fonts, measured: the speed of a conversion, and what a model learns from converted pages.

    uv run python -m benchmarks.legacy --data FOLDER [--json] [--only speed,training]

FOLDER holds `khm/*.jsonl.gz` (field `text`), of which `junk_legacy_font` is law in Limon and `law_clean` another law in Unicode.
The numbers of the last run are in docs/khmer.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import sections

SECTIONS = ("speed", "training")
ARMS = ("without", "with", "codes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--tokens", type=int, default=600_000, help="tokens of each training run")
    parser.add_argument("--seeds", type=int, default=2, help="training runs of each corpus")
    parser.add_argument("--arms", default=",".join(ARMS), help="corpora, by comma")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()

    def run(name: str, work: Path) -> object:
        if name == "speed":
            from benchmarks.legacy import speed

            return speed.measure(options.data)
        from benchmarks.legacy import training

        arms = options.arms.split(",")
        return training.measure(
            options.data, work, num_tokens=options.tokens, seeds=options.seeds, arms=arms
        )

    sections.run_each(sections.chosen(parser, options.only, SECTIONS), run, as_json=options.json)


if __name__ == "__main__":
    main()
