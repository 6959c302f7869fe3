"""Tokenizer and packed shards, measured: bytes per token, round trip, speed, fill, memory.

    uv run python -m benchmarks.tokenize_pack --data FOLDER [--json] [--only tokenizer,speed,cpu,...]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`), among them `ntrex128`, parallel sentences that
are never trained on, and `vectors/`. The numbers of the last run are in docs/tokenizer.md and docs/shards.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import sections

SECTIONS = ("tokenizer", "caps", "speed", "cpu", "fill", "trl", "plan", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--vocab-size", type=int, default=50_000, help="tokens")
    parser.add_argument(
        "--copies", type=int, default=8, help="copies of the text in `speed`, `memory`"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="turns of `speed`, `cpu`; the best counts"
    )
    parser.add_argument("--documents", type=int, default=10_000_000, help="documents of `plan`")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from benchmarks.tokenize_pack import packing

        print(json.dumps(packing.child(*options.child)))
        return
    chosen = sections.chosen(parser, options.only, SECTIONS)
    if options.data is None:
        parser.error("--data is needed")
    names = (name for name in SECTIONS if name in chosen)
    sections.run_each(names, lambda name, work: run(name, options, work), as_json=options.json)


def run(name: str, options: argparse.Namespace, work: Path) -> dict[str, object]:
    """Run one section."""
    from benchmarks.tokenize_pack import caps, packing, speed, tokenizers

    size = options.vocab_size
    if name == "tokenizer":
        return tokenizers.measure(options.data, [8_000, 16_000, size])
    if name == "caps":
        return caps.measure(options.data, size)
    if name == "speed":
        return speed.measure(
            options.data, work, copies=options.copies, vocab_size=size, repeats=options.repeats
        )
    if name == "fill":
        return packing.fill(options.data, work, vocab_size=size)
    if name == "trl":
        from benchmarks.tokenize_pack import trl_packing

        return trl_packing.measure(options.data, work, vocab_size=size, repeats=options.repeats)
    if name == "cpu":
        return packing.in_process("cpu", str(options.data), str(work), size, options.repeats)
    if name == "plan":
        return packing.in_process("plan", options.documents)
    return packing.memory(options.data, work, vocab_size=size, times=options.copies)


if __name__ == "__main__":
    main()
