"""Averages of the weights against the last ones: which form gains, after which schedule, over how many passes.

    uv run python -m benchmarks.train.averages --data FOLDER [--json] [--passes 2,8,20] [--seeds 2] [--decay auto]

A small network of Qwen3's shape learns half of some Khmer documents; bits per byte on the other half. Every average is
taken beside the same run, and the schedules part from one trunk, so that nothing but the average differs. `mean` is
the mean of the weights after each step of the last part of the run, `snapshots` that of five of them, `ema` a running
mean that forgets over a part of the run. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmarks import texts
from benchmarks.show import add_options, say
from benchmarks.train.packed import Quiet, describe, open_feed
from benchmarks.train.passes import FILES, SEQ_LEN, SMALL, pack_half, rows_of
from tonsai_pipeline.model.held_out import measure as held_out
from tonsai_pipeline.model.held_out import open_validation
from tonsai_pipeline.recipe.train import ScheduleConfig, known
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.assemble import Setup, assemble
from tonsai_pipeline.train.loop.schedule import learning_rate

CORPUS_BYTES = 240_000
#: Part of the run over which the rate falls, and where to.
SCHEDULES = {
    "decay 50 % to 0": (0.5, 0.0),
    "decay 50 % to a tenth": (0.5, 0.1),
    "decay 10 % to 0": (0.1, 0.0),
    "no decay": (0.0, 1.0),
}
MEANS, EMAS, NUM_SNAPSHOTS = (0.05, 0.1, 0.2, 0.3, 0.5), (0.02, 0.05, 0.1, 0.2), 5
#: Validation rows; fewer than there are, because every average is measured.
MAX_ROWS = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--passes", default="2,8,20", help="passes over the text, by comma")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each kind")
    parser.add_argument("--decay", default="auto", help="weight decay")
    options = parser.parse_args()
    passes = [int(number) for number in options.passes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.data, Path(folder), passes, options.seeds, options.decay)
    say("change of held-out bits per byte by averaging", result, as_json=options.json)


def measure(
    data: Path, work: Path, passes: list[int], seeds: int, decay: str
) -> dict[str, dict[str, str]]:
    """Return by passes and schedule: the raw weights, and what each average changes, for each seed."""
    shards, tokenizer = pack_half(_documents(data), work / "corpus")
    result: dict[str, dict[str, str]] = {}
    for number in passes:
        total = number * RowReader(shards / "train").num_rows * SEQ_LEN
        runs = [
            _train(shards, tokenizer, work / f"{number}-{seed}", total, seed, decay)
            for seed in range(seeds)
        ]
        for schedule in SCHEDULES:
            raw = [run[schedule]["raw"] for run in runs]
            shown = {"raw, bits per byte": " ".join(f"{bits:.4f}" for bits in raw)}
            for name in list(runs[0][schedule])[1:]:
                changes = [run[schedule][name] / run[schedule]["raw"] - 1 for run in runs]
                each = " ".join(f"{change:+.2%}" for change in changes)
                shown[name] = f"{statistics.fmean(changes):+.2%} ({each})"
            result[f"{number} passes, {schedule}"] = shown
            print(number, schedule, shown, file=sys.stderr, flush=True)
    return result


def _documents(data: Path) -> list[str]:
    whole = [text for name in FILES for text in texts.read(data / "khm" / f"{name}.jsonl.gz")]
    order = np.random.default_rng(0).permutation(len(whole))
    sizes = np.cumsum([len(whole[i].encode()) for i in order])
    return [whole[i] for i in order[: int(np.searchsorted(sizes, CORPUS_BYTES))]]


@dataclass
class _Mean:
    """A weighted mean of weights.

    Args:
        start: From which part of the run on.
        every: Steps between two that count.
        keep: What remains of the sum at each of them; 1 for a plain mean.
    """

    start: float
    every: int
    keep: float = 1.0
    total: Tensor | None = None
    weight: float = 0.0

    def update(self, step: int, num_steps: int, weights: Tensor) -> None:
        if step <= self.start * num_steps or (num_steps - step) % self.every:
            return
        self.total = weights.clone() if self.total is None else self.total * self.keep + weights
        self.weight = self.weight * self.keep + 1.0

    @property
    def value(self) -> Tensor:
        assert self.total is not None
        return self.total / self.weight


def _means(num_steps: int) -> dict[str, _Mean]:
    spaced = max(1, num_steps // (NUM_SNAPSHOTS * 5))
    return {
        **{f"mean of the last {frac:.0%}": _Mean(1 - frac, 1) for frac in MEANS},
        f"{NUM_SNAPSHOTS} snapshots of the last 20 %": _Mean(0.8, spaced),
        **{f"ema over {frac:.0%}": _Mean(0.0, 1, 1 - 1 / (frac * num_steps)) for frac in EMAS},
    }


def _train(
    shards: Path, tokenizer: Path, output_dir: Path, total: int, seed: int, decay: str
) -> dict[str, dict[str, float]]:
    """Train one trunk and, off it, each schedule; return bits per byte by schedule and average."""
    rows = rows_of(total)
    num_steps = total // (rows * SEQ_LEN)
    run = describe(
        shards,
        tokenizer,
        output_dir,
        SMALL,
        seq_len=SEQ_LEN,
        rows=rows,
        num_steps=num_steps,
        seed=seed,
        optimizer={"lr": "auto", "weight_decay": decay if decay == "auto" else float(decay)},
    )
    reader = RowReader(shards / "train")
    setup = assemble(run, reader, torch.device("cpu"), Quiet(), prepare=lambda *_: None)
    trunk, found = _Trial(setup, num_steps), {}
    for name, (decay_frac, floor) in sorted(SCHEDULES.items(), key=lambda each: -each[1][0]):
        schedule = ScheduleConfig(warmup_frac=0.05, decay_frac=decay_frac, min_lr_frac=floor)
        trunk.train(round((1 - decay_frac) * num_steps), schedule)
        saved = trunk.state()
        trunk.train(num_steps, schedule)
        found[name] = trunk.measure()
        trunk.load(saved)
    trunk.feed.close()
    return found


class _Trial:
    """A network in training, with its averages."""

    def __init__(self, setup: Setup, num_steps: int) -> None:
        self.run, self.backend, self.num_steps = setup.run, setup.backend, num_steps
        self.feed = open_feed(setup.run)
        self.step, self.means = 0, _means(num_steps)

    @property
    def weights(self) -> list[nn.Parameter]:
        return list(self.backend.loss.model.parameters())

    def train(self, until: int, schedule: ScheduleConfig) -> None:
        """Take steps up to one, at the rates of a schedule."""
        peak = known(self.run.train.optimizer.lr)
        for step in range(self.step, until):
            rows = self.feed.take(step, None)
            lr = learning_rate(2 * step + 1, 2 * self.num_steps, peak=peak, schedule=schedule)
            self.backend.step(rows.batches, num_targets=rows.num_targets, lr=lr)
            weights = parameters_to_vector(self.weights).detach()
            for mean in self.means.values():
                mean.update(step + 1, self.num_steps, weights)
        self.step = max(self.step, until)

    def state(self) -> tuple[Any, ...]:
        """Return all that `load` needs to go back to this step."""
        weights = parameters_to_vector(self.weights).detach().clone()
        optimizer = copy.deepcopy(self.backend.optimizer.state_dict())
        return self.step, weights, optimizer, copy.deepcopy(self.means)

    def load(self, saved: tuple[Any, ...]) -> None:
        """Go back."""
        self.step, weights, optimizer, self.means = saved
        vector_to_parameters(weights, self.weights)
        self.backend.optimizer.load_state_dict(optimizer)

    def measure(self) -> dict[str, float]:
        """Return held-out bits per byte of the weights, and of each average."""
        raw = parameters_to_vector(self.weights).detach().clone()
        found = {"raw": self._bits()}
        for name, mean in self.means.items():
            vector_to_parameters(mean.value, self.weights)
            found[name] = self._bits()
        vector_to_parameters(raw, self.weights)
        return found

    def _bits(self) -> float:
        return held_out(
            self.backend.measure,
            open_validation(self.run.shards_dir)["khm"],
            batch_rows=8,
            max_rows=MAX_ROWS,
            positions=self.run.model.positions,
            use_varlen=False,
            device=self.backend.device,
        ).bits_per_byte


if __name__ == "__main__":
    main()
