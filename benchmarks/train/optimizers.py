"""Muon against AdamW, the rate of each swept: held-out bits per byte of Khmer for the same tokens.

    uv run python -m benchmarks.train.optimizers --data FOLDER [--json] [--bytes 240000] [--passes 6] [--rates 3e-3,6e-3]
        [--scales 1] [--seeds 2]

Network as in `averages`; half of some documents is learnt, bits per byte on the other half. Rate and weight decay (times
what `auto` takes for the rate) are chosen on one sample of documents with one seed; what counts is measured on another
sample with other seeds. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.show import add_options, say
from benchmarks.train.passes import (
    SEQ_LEN,
    SMALL,
    VOCAB_SIZE,
    documents,
    held_out,
    pack_half,
    rows_of,
    train,
)
from tonsai_pipeline.planner.laws import Workload, decay_for
from tonsai_pipeline.planner.network import shape_of
from tonsai_pipeline.storage.shards import RowReader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--bytes", type=int, default=240_000, help="text; half is learnt")
    parser.add_argument("--passes", type=int, default=6, help="passes over the text")
    parser.add_argument(
        "--rates", default="3e-3,6e-3,1.2e-2,2.4e-2", help="learning rates, by comma"
    )
    parser.add_argument("--scales", default="1", help="times the weight decay of `auto`, by comma")
    parser.add_argument("--seeds", type=int, default=2, help="runs that count, of each")
    options = parser.parse_args()
    choices = [
        (float(rate), float(scale))
        for rate in options.rates.split(",")
        for scale in options.scales.split(",")
    ]
    seeds = range(1, options.seeds + 1)
    with tempfile.TemporaryDirectory() as folder:
        samples = [
            Sample(*pack_half(found, Path(folder) / f"{part}"), options.passes)
            for part in range(2)
            for found in [documents(options.data, options.bytes, part=part)]
        ]
        result = {name: measure(samples, name, choices, seeds) for name in ("adamw", "muon")}
    say("held-out bits per byte", result, as_json=options.json)


@dataclass(frozen=True)
class Sample:
    """Packed documents.

    Args:
        shards: Half of them, and the other half for measuring.
        tokenizer: What cut them.
        passes: Over the half.
    """

    shards: Path
    tokenizer: Path
    passes: int


def measure(
    samples: list[Sample], name: str, choices: list[tuple[float, float]], seeds: Iterable[int]
) -> dict[str, object]:
    """Choose rate and decay on the first sample; return bits per byte of both."""
    tried = {choice: _train(samples[0], name, *choice, 0)[0] for choice in choices}
    best = min(tried, key=lambda choice: tried[choice])
    runs = [_train(samples[1], name, *best, seed) for seed in seeds]
    result: dict[str, object] = {
        "each choice": {f"{lr:g}, decay x {scale:g}": b for (lr, scale), b in tried.items()},
        "chosen": f"{best[0]:g}, decay x {best[1]:g}",
        "bits per byte": statistics.fmean(bits for bits, _ in runs),
        "each seed": " ".join(f"{bits:.4f}" for bits, _ in runs),
        "CPU s a run": statistics.fmean(seconds for _, seconds in runs),
    }
    print(name, result, file=sys.stderr, flush=True)
    return result


def _train(sample: Sample, name: str, lr: float, scale: float, seed: int) -> tuple[float, float]:
    """Train; return held-out bits per byte, and CPU seconds."""
    total = sample.passes * RowReader(sample.shards / "train").num_rows * SEQ_LEN
    shape = shape_of(SMALL, vocab_size=VOCAB_SIZE, seq_len=SEQ_LEN)
    num_weights = shape.active_weights - VOCAB_SIZE * shape.hidden_size
    work = Workload(num_weights, SMALL.hidden_size, total, SEQ_LEN, sample.passes)
    decay = scale * decay_for(work, rows_of(total) * SEQ_LEN, lr)
    began = time.process_time()
    run = train(
        sample.shards,
        sample.tokenizer,
        sample.shards.parent / f"{name}-{lr}-{scale}-{seed}",
        total,
        seed,
        optimizer={"name": name, "lr": lr, "weight_decay": decay},
        network=SMALL,
    )
    seconds = time.process_time() - began
    bits = held_out(run)["khm"]
    print(name, lr, scale, seed, bits, seconds, file=sys.stderr, flush=True)
    return bits, seconds


if __name__ == "__main__":
    main()
