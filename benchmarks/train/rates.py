"""Rates of matrices and of embeddings: which are best, and where `auto` lands.

    uv run python -m benchmarks.train.rates --data FOLDER [--json] [--width 96] [--layers 3] [--bytes 2400000] [--passes 1]
        [--rates 1.5e-3,6e-3] [--embedding-rates same,2.4e-2] [--sample 0] [--first-seed 0] [--seeds 1]

Half of some Khmer documents is learnt, bits per byte on the other half; Qwen3's shape, 2,048 tokens of vocabulary, batch and
decay `auto`. What was chosen on one sample of documents is measured on another. The numbers are in docs/training.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.show import add_options, say
from benchmarks.train.passes import SEQ_LEN, documents, held_out, pack_half, train
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import STATUS_NAME
from tonsai_pipeline.storage.shards import RowReader

#: Held-out rows: 24,576 tokens.
MAX_ROWS = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--width", type=int, default=96, help="of the network; heads are 48 wide")
    parser.add_argument("--layers", type=int, default=3, help="of the network")
    parser.add_argument("--bytes", type=int, default=2_400_000, help="text; half is learnt")
    parser.add_argument("--passes", type=int, default=1, help="over the half")
    parser.add_argument("--rates", default="1.5e-3,6e-3", help="of matrices, by comma")
    parser.add_argument(
        "--embedding-rates", default="same,2.4e-2", help="by comma; same: as the matrices'"
    )
    parser.add_argument("--sample", type=int, default=0, help="which sample of documents")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each kind")
    options = parser.parse_args()
    network = ModelConfig(
        architecture="qwen3",
        num_layers=options.layers,
        hidden_size=options.width,
        num_heads=max(1, options.width // 48),
    )
    choices: list[dict[str, Any]] = [
        {"lr": float(rate), "embedding_lr": float(rate if other == "same" else other)}
        for rate in options.rates.split(",")
        for other in options.embedding_rates.split(",")
        if rate and other
    ]
    with tempfile.TemporaryDirectory() as folder:
        shards, tokenizer = pack_half(
            documents(options.data, options.bytes, part=options.sample), Path(folder) / "corpus"
        )
        total = options.passes * RowReader(shards / "train").num_rows * SEQ_LEN
        result: dict[str, dict[str, object]] = {"corpus": {"tokens of a run": total}}
        for choice in [*choices, {"lr": "auto"}]:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                output_dir = Path(folder) / f"{len(result)}"
                run = train(
                    shards,
                    tokenizer,
                    output_dir,
                    total,
                    seed,
                    optimizer={**choice, "weight_decay": "auto"},
                    max_rows=MAX_ROWS,
                    network=network,
                )
                status: Any = read_json(output_dir / STATUS_NAME)
                name = ", ".join(f"{key} {value}" for key, value in choice.items())
                found: dict[str, object] = {"bits per byte": held_out(run)["khm"]}
                for key in ("lr", "embedding_lr", "weight_decay", "num_steps"):
                    found[key] = status[key]
                result[f"{name}, seed {seed}"] = found
                print(name, seed, found, file=sys.stderr, flush=True)
    say("held-out bits per byte", result, as_json=options.json)


if __name__ == "__main__":
    main()
