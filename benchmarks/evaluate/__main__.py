"""Which early measures move, and how much of it is noise: checkpoints of runs with several seeds, measured alike.

shards, tokenizer ──train, save at 2^n steps──▶ models ──measure──▶ rank correlation with step, noise between seeds

uv run python -m benchmarks.evaluate --shards DIR --tokenizer DIR --work DIR --ntrex FILE [--seeds 0 1] [--steps 640]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import torch

from benchmarks.evaluate.checkpoints import train
from tonsai_pipeline.evaluate.bits_per_byte import score_texts
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.evaluate.texts import read_texts
from tonsai_pipeline.metrics.health import measure_health, summarize
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.early_signal import early_signal
from tonsai_pipeline.recipe.evaluate import GenerationConfig, MeasuredText
from tonsai_pipeline.text import NormalizeOptions


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--shards", "--tokenizer", "--work", "--ntrex"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=640)
    told = parser.parse_args()
    torch.set_num_threads(1)
    for seed in told.seeds:
        if not any(told.work.glob(f"seed{seed}-*")):
            train(told.shards, told.tokenizer, told.work, seed=seed, num_steps=told.steps)
    table = {
        place.name: measure(place, told.ntrex) for place in sorted(told.work.glob("seed*-step*"))
    }
    names = list(next(iter(table.values())))
    print("checkpoint".ljust(18), *(name.rjust(22) for name in names))
    for place, row in table.items():
        print(place.ljust(18), *(f"{row[name]:22.3f}" for name in names))
    steps = {place: int(re.sub(r".*step", "", place)) for place in table}
    for name in names:
        print(f"{name:24}", verdict({place: row[name] for place, row in table.items()}, steps))


def measure(place: Path, ntrex: Path) -> dict[str, float]:
    subject = open_subject(str(place))
    wanted = MeasuredText(name="ntrex", lang="khm", path=ntrex)
    (texts,), _ = read_texts([wanted], max_documents=200, options=NormalizeOptions())
    scores = score_texts(subject, texts)
    found = {"ntrex bits per byte": sum(scores.bits) / sum(scores.num_bytes)}
    found |= early_signal(subject.model, subject.tokenizer, load_suite())
    items = [item for item in load_suite() if item.kind == "continue"]
    written = subject.write([i.prompt for i in items], [300] * len(items), GenerationConfig())
    health = summarize(
        measure_health([w.text for w in written], ["khm"] * len(items), [w.ended for w in written])
    )
    return found | {
        name: health[name] for name in ("stable_frac", "loop_frac", "right_language_frac")
    }


def verdict(values: dict[str, float], steps: dict[str, int]) -> str:
    """Rank correlation with step (Spearman), and the span over steps in units of the difference between seeds."""
    places = list(values)
    ranks = [_ranks([steps[p] for p in places]), _ranks([values[p] for p in places])]
    rho = float(np.corrcoef(*ranks)[0, 1]) if np.ptp(ranks[1]) else 0.0
    by_step: dict[int, list[float]] = {}
    for place in places:
        by_step.setdefault(steps[place], []).append(values[place])
    pairs = [np.ptp(one) for one in by_step.values() if len(one) > 1]
    means = [float(np.mean(by_step[step])) for step in sorted(by_step)]
    noise = float(np.mean(pairs)) if pairs else float("nan")
    return f"rank correlation {rho:+.2f}   first {means[0]:.3f}   last {means[-1]:.3f}   between seeds {noise:.3f}"


def _ranks(values: list[float]) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    array = np.asarray(values, float)
    return np.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array])


if __name__ == "__main__":
    main()
