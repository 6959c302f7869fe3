"""English beside Khmer, evenly or first: held-out bits per byte after as many passes over the same Khmer text.

    uv run python -m benchmarks.train.stages --data FOLDER [--json] [--scale 1] [--passes 4] [--seeds 2]

The two mixtures with English hold the same texts as often, 60 % Khmer; `two stages` has 35 % in the first half and 85 % in
the second. `Khmer alone` reads the Khmer as often, in a shorter run. Network as in `averages`, rate and decay `auto`.
The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.show import add_options, say
from benchmarks.tokenize_pack import prepared
from benchmarks.train.passes import SEQ_LEN, SMALL, held_out, train
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.storage.shards import RowReader

VOCAB_SIZE, HOLD_OUT_EVERY = 4096, 4
#: UTF-8 bytes of text by language; the English is read once or twice.
CORPUS_BYTES = {"khm": 240_000, "eng": 400_000}
MIXTURES: dict[str, dict[str, Any]] = {
    "Khmer alone": {"languages": {"khm": 1.0}},
    "one stage": {"languages": {"khm": 0.6, "eng": 0.4}},
    "two stages": {
        "languages": {"khm": 0.35, "eng": 0.65},
        "stages": [{"last_frac": 0.5, "languages": {"khm": 0.85, "eng": 0.15}}],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="times 240 kB Khmer, 400 kB English"
    )
    parser.add_argument("--passes", type=int, default=4, help="passes over the Khmer text")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each mixture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.data, Path(folder), options.scale, options.passes, options.seeds)
    say("held-out bits per byte", result, as_json=options.json)


def measure(
    data: Path, work: Path, scale: float, passes: int, seeds: int
) -> dict[str, dict[str, object]]:
    """Return what each mixture holds, and bits per byte by language."""
    documents = {
        lang: _cut(found, int(scale * CORPUS_BYTES[lang]))
        for lang, found in texts.training(data).items()
    }
    result: dict[str, dict[str, object]] = {}
    for name, mixture in MIXTURES.items():
        engine = open_engine("local", num_workers=1)
        builder = prepared.open_builder(
            work / "corpus",
            documents,
            engine,
            hold_out_every=HOLD_OUT_EVERY,
            tokenizer={"vocab_size": VOCAB_SIZE, "compare_gpt2": False},
            packing={"seq_len": SEQ_LEN},
            mixture={"max_epochs": float(passes), **mixture},
        )
        shards, tokenizer = prepared.shards(builder), prepared.tokenizer(builder).path
        engine.close()
        runs = [
            _train(shards.path, tokenizer, work / f"{name}-{seed}", seed) for seed in range(seeds)
        ]
        sources = shards.report["sources"]
        result[name] = {
            "tokens": {lang: found["num_tokens"] for lang, found in sources.items()},
            "passes": {
                lang: found["num_tokens"] / found["available_tokens"]
                for lang, found in sources.items()
                if found["num_tokens"]
            },
            **{
                f"{lang} bits per byte": f"{statistics.fmean(run[lang] for run in runs):.4f} "
                f"({' '.join(f'{run[lang]:.4f}' for run in runs)})"
                for lang in runs[0]
            },
        }
        print(name, result[name], file=sys.stderr, flush=True)
    return result


def _cut(found: list[str], num_bytes: int) -> list[str]:
    order = np.random.default_rng(0).permutation(len(found))
    sizes = np.cumsum([len(found[i].encode()) for i in order])
    return [found[i] for i in order[: int(np.searchsorted(sizes, num_bytes))]]


def _train(shards: Path, tokenizer: Path, output_dir: Path, seed: int) -> dict[str, float]:
    """Read the packed rows once, in their order; return held-out bits per byte by language."""
    total = RowReader(shards / "train").num_rows * SEQ_LEN
    optimizer = {"lr": "auto", "weight_decay": "auto"}
    return held_out(
        train(shards, tokenizer, output_dir, total, seed, optimizer=optimizer, network=SMALL)
    )


if __name__ == "__main__":
    main()
