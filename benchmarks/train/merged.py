"""Continual runs over single corpora, merged afterwards, beside one run over both.

    uv run python -m benchmarks.train.merged --data FOLDER [--json] [--base-steps 500] [--steps 100] [--seed 1]

A base model learned from a sample of the documents. Of another sample two corpora are made by source (`FILES` and the
rest), and the base goes on with each for `--steps`, and with both together for as many and for twice as many, which costs
what the two cost. Models are merged with one weight for each difference to the base (Ilharco et al. 2022,
arXiv:2212.04089); weights are chosen on every other held-out row and all is measured on the rest. The numbers of the last
run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks import texts
from benchmarks.show import add_options, say
from benchmarks.tokenize_pack import prepared
from benchmarks.train.packed import train_on
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.model.batches import RowSource
from tonsai_pipeline.model.build import load_model
from tonsai_pipeline.model.held_out import measure_network, open_validation
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.rows import Row

NETWORK = ModelConfig(architecture="qwen3", num_layers=4, hidden_size=128, num_heads=4)
VOCAB_SIZE, SEQ_LEN, ROWS = 2048, 256, 8
DOCUMENTS = {"khm": 5900, "eng": 3500}
FILES = ("news", "wikipedia", "law_ocr_pages", "law_clean", "udhr", "abc_news", "state_union")
WEIGHTS = (0.4, 0.7, 1.0)
#: Held-out rows of a corpus and language, for choosing and for measuring together.
MAX_ROWS = 24

Corpus = dict[str, list[str]]
State = Mapping[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--base-steps", type=int, default=500, help="steps of the base model")
    parser.add_argument("--steps", type=int, default=100, help="steps with each corpus")
    parser.add_argument("--seed", type=int, default=1, help="of the samples of documents")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    say("held-out bits per byte", result, as_json=options.json)


def measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Return bits per byte of the base, of each run and of what was merged."""
    first, one, other = _corpora(options.data, options.seed)
    both = {lang: one[lang] + other[lang] for lang in DOCUMENTS}
    engine = open_engine("local", num_workers=1)

    def builder(name: str, corpus: Corpus, **tokenizer: Any) -> Builder:
        section, packing = {"compare_gpt2": False} | tokenizer, {"seq_len": SEQ_LEN}
        return prepared.open_builder(
            work / name, corpus, engine, hold_out_every=12, tokenizer=section, packing=packing
        )

    own = builder("first", first, vocab_size=VOCAB_SIZE)
    base = _train(own, NETWORK, work / "base", options.base_steps, 4e-3)
    given = str(prepared.tokenizer(own).path)
    corpora = {
        name: builder(name, corpus, base=given)
        for name, corpus in (("one", one), ("other", other), ("both", both))
    }
    runs = [("one", 1), ("other", 1), ("both", 1), ("both", 2)]
    section = ModelConfig(base=str(base))
    models = {"base": _state(base)} | {
        f"{name}, {length} x steps": _state(
            _train(corpora[name], section, work / f"{name} {length}", length * options.steps, 1e-3)
        )
        for name, length in runs
    }
    held_out = _HeldOut(
        base, {name: prepared.shards(corpora[name]).path for name in ("one", "other")}
    )
    engine.close()
    begin, *parts = (models[name] for name in ("base", "one, 1 x steps", "other, 1 x steps"))
    merged = {w: merge(begin, parts, w) for w in itertools.product(WEIGHTS, repeat=2)}
    best = min(merged, key=lambda w: _mean(held_out.bits(merged[w], choosing=True)))
    models |= {
        "mean of both": merge(begin, parts, (0.5, 0.5)),
        f"differences x {best}": merged[best],
    }
    found = {name: held_out.bits(state, choosing=False) for name, state in models.items()}
    return {name: bits | {"mean": _mean(bits)} for name, bits in found.items()}


def merge(base: State, models: Sequence[State], weights: Sequence[float]) -> State:
    """Return the base with weighted differences of models to it."""
    return {
        name: value + sum(w * (one[name] - value) for w, one in zip(weights, models, strict=True))
        for name, value in base.items()
    }


def _corpora(data: Path, seed: int) -> tuple[Corpus, Corpus, Corpus]:
    """Return what the base learns from, and two corpora of other documents."""
    found: tuple[Corpus, Corpus, Corpus] = ({}, {}, {})
    generator = np.random.default_rng(seed)
    for lang, number in DOCUMENTS.items():
        named = [
            (path.name.split(".")[0] in FILES, text)
            for path in texts.files(data, lang)
            if not path.name.startswith((texts.JUNK, texts.EVALUATION))
            for text in texts.read(path)
        ]
        order = generator.permutation(len(named)).tolist()
        found[0][lang] = [named[place][1] for place in order[:number]]
        later = [named[place] for place in order[number : 2 * number]]
        found[1][lang] = [text for is_one, text in later if is_one]
        found[2][lang] = [text for is_one, text in later if not is_one]
    return found


def _train(
    builder: Builder, model: ModelConfig, output_dir: Path, num_steps: int, lr: float
) -> Path:
    return train_on(
        builder,
        model,
        output_dir,
        num_steps=num_steps,
        optimizer={"lr": lr},
        schedule={"warmup_frac": 0.05, "decay_frac": 0.5},
    )


def _state(model_dir: Path) -> State:
    network = cast("torch.nn.Module", load_model(model_dir))
    return {name: value.clone() for name, value in network.state_dict().items()}


def _mean(bits: Mapping[str, float]) -> float:
    return math.exp(sum(map(math.log, bits.values())) / len(bits))


class _HeldOut:
    """Held-out rows of two corpora, every other one for choosing."""

    def __init__(self, model_dir: Path, shards: Mapping[str, Path]) -> None:
        self._network = load_model(model_dir)
        self._rows = {
            f"{name} {lang}": rows
            for name, folder in shards.items()
            for lang, rows in open_validation(folder).items()
        }

    def bits(self, state: State, *, choosing: bool) -> dict[str, float]:
        """Return bits per byte by corpus and language."""
        cast("torch.nn.Module", self._network).load_state_dict(dict(state))
        found = measure_network(
            self._network,
            {name: _Half(rows, 1 - choosing) for name, rows in self._rows.items()},
            batch_rows=ROWS,
            max_rows=None,
            positions="row",
            device=torch.device("cpu"),
        )
        return {name: one.bits_per_byte for name, one in found.items()}


@dataclass(frozen=True)
class _Half:
    """Every other row of a source, from the first or the second one; a `RowSource`."""

    rows: RowSource
    first: int

    @property
    def seq_len(self) -> int:
        return self.rows.seq_len

    @property
    def pad_id(self) -> int:
        return self.rows.pad_id

    @property
    def num_rows(self) -> int:
        return len(range(self.first, min(self.rows.num_rows, MAX_ROWS), 2))

    def row(self, number: int) -> Row:
        """Return a row of the half."""
        return self.rows.row(self.first + 2 * number)


if __name__ == "__main__":
    main()
