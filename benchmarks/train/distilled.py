"""Distillation on repeated text: a student alone, and taught by one and by three models that differ in their seed.

    uv run python -m benchmarks.train.distilled --data FOLDER [--json] [--passes 16] [--sample 0] [--seeds 3]
        [--weights 0.5] [--temperatures 1] [--decay auto]

Network, text and settings as in `passes`; students take as many steps as their teachers. Bits per byte on the other half of the
documents. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.show import show
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
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    parser.add_argument("--passes", type=int, default=16, help="passes over the text")
    parser.add_argument("--sample", type=int, default=0, help="which sample of documents")
    parser.add_argument("--seeds", type=int, default=3, help="students of each kind")
    parser.add_argument("--weights", default="0.5", help="weights of the divergence, by comma")
    parser.add_argument("--temperatures", default="1", help="temperatures, by comma")
    parser.add_argument("--decay", default="auto", help="weight decay")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        show("held-out bits per byte", result)


def measure(options: argparse.Namespace, work: Path) -> dict[str, dict[str, object]]:
    """Return bits per byte of each kind of student, and seconds of CPU."""
    shards, tokenizer = pack_half(
        documents(options.data, CORPUS_BYTES, part=options.sample), work / "corpus"
    )
    total = options.passes * RowReader(shards / "train").num_rows * SEQ_LEN
    decay = options.decay if options.decay == "auto" else float(options.decay)
    result: dict[str, dict[str, object]] = {}

    def runs(name: str, seeds: range, **teacher: object) -> list[Path]:
        folders, bits, seconds = [], [], []
        for seed in seeds:
            began = time.process_time()
            run = train(
                shards,
                tokenizer,
                work / f"{name}-{seed}",
                total,
                seed,
                optimizer={"lr": "auto", "weight_decay": decay},
                network=SMALL,
                teacher=teacher,
            )
            seconds.append(time.process_time() - began)
            bits.append(held_out(run)["khm"])
            folders.append(run.output_dir / MODEL_NAME)
        result[name] = {
            "bits per byte": statistics.fmean(bits),
            "each seed": " ".join(f"{one:.4f}" for one in bits),
            "CPU s a run": statistics.fmean(seconds),
        }
        print(name, result[name], file=sys.stderr, flush=True)
        return folders

    teachers = runs("teachers, alone", range(100, 100 + NUM_TEACHERS))
    students = range(options.seeds)
    runs("students, alone", students)
    for number in (NUM_TEACHERS, 1):
        for weight in (float(one) for one in options.weights.split(",")):
            for temperature in (float(one) for one in options.temperatures.split(",")):
                name = f"taught by {number}, weight {weight}, temperature {temperature}"
                models = teachers[:number]
                runs(name, students, models=models, weight=weight, temperature=temperature)
    return result


if __name__ == "__main__":
    main()
