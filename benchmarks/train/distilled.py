"""Distillation on repeated text: a student alone, and taught by one and by three models that differ in their seed.

    uv run python -m benchmarks.train.distilled --data FOLDER [--json] [--passes 12] [--sample 0] [--seeds 2]
        [--weights 0.5]

Network, text and settings as in `passes`; students take as many steps as their teachers. Bits per byte on the other half of the
documents. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.show import add_options, say
from benchmarks.train.passes import (
    CORPUS_BYTES,
    SEQ_LEN,
    SMALL,
    documents,
    held_out,
    pack_half,
    train,
)
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.spec import MODEL_NAME

NUM_TEACHERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--passes", type=int, default=12, help="passes over the text")
    parser.add_argument("--sample", type=int, default=0, help="which sample of documents")
    parser.add_argument("--seeds", type=int, default=2, help="students of each kind")
    parser.add_argument("--weights", default="0.5", help="weights of the divergence, by comma")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    say("held-out bits per byte", result, as_json=options.json)


def measure(options: argparse.Namespace, work: Path) -> dict[str, dict[str, object]]:
    """Return bits per byte of each kind of student, and seconds of CPU."""
    found = documents(options.data, CORPUS_BYTES, part=options.sample)
    runs = Runs(*pack_half(found, work / "corpus"), work, options.passes)
    teachers = runs.make("teachers, alone", range(100, 100 + NUM_TEACHERS))
    students = range(options.seeds)
    runs.make("students, alone", students)
    for number in (NUM_TEACHERS, 1):
        for weight in (float(one) for one in options.weights.split(",")):
            name = f"taught by {number}, weight {weight:g}"
            runs.make(name, students, models=teachers[:number], weight=weight)
    return runs.result


@dataclass(frozen=True)
class Runs:
    """Models trained on the same rows.

    Args:
        shards: The rows.
        tokenizer: What cut them.
        work: Where models go.
        passes: Over the rows.
        result: What was measured, by name.
    """

    shards: Path
    tokenizer: Path
    work: Path
    passes: int
    result: dict[str, dict[str, object]] = field(default_factory=dict)

    def make(self, name: str, seeds: Iterable[int], **teacher: object) -> list[Path]:
        """Train a model a seed, and return their folders."""
        total = self.passes * RowReader(self.shards / "train").num_rows * SEQ_LEN
        folders, bits, seconds = [], [], []
        for seed in seeds:
            began = time.process_time()
            run = train(
                self.shards,
                self.tokenizer,
                self.work / f"{name}-{seed}",
                total,
                seed,
                optimizer={"lr": "auto", "weight_decay": "auto"},
                network=SMALL,
                teacher=teacher,
            )
            seconds.append(time.process_time() - began)
            bits.append(held_out(run)["khm"])
            folders.append(run.output_dir / MODEL_NAME)
        self.result[name] = {
            "bits per byte": statistics.fmean(bits),
            "each seed": " ".join(f"{one:.4f}" for one in bits),
            "CPU s a run": statistics.fmean(seconds),
        }
        print(name, self.result[name], file=sys.stderr, flush=True)
        return folders


if __name__ == "__main__":
    main()
