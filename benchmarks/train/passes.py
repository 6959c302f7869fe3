"""Weight decay against passes over little text: which curve turns up, and where `auto` lands.

    uv run python -m benchmarks.train.passes --data FOLDER [--json] [--passes 4,16] [--decays 0.1,1,3,10] [--first-seed 0]
        [--seeds 2] [--sample 0]

Half of some Khmer documents, 2,048 tokens of vocabulary, a network of Qwen3's shape; rate and batch are those of `auto`
for the length of the run, so that only the decay differs. Bits per byte on the other half of the documents; what was
chosen on one sample of documents is measured on another. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.show import add_options, say
from benchmarks.tokenize_pack import prepared
from benchmarks.train.packed import NEVER, Quiet, describe
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.planner.laws import step_law_batch
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.spec import TrainRun

SEQ_LEN, VOCAB_SIZE = 256, 2048
#: Text of the corpus; half of its documents are trained on.
CORPUS_BYTES = 240_000
SMALL = ModelConfig(architecture="qwen3", num_layers=3, hidden_size=96, num_heads=2)
NETWORK = ModelConfig(architecture="qwen3", num_layers=4, hidden_size=128, num_heads=2)
FILES = ("news", "web_oscar", "wikipedia")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--passes", default="4,16", help="passes over the text, by comma")
    parser.add_argument("--decays", default="0.1,1,3,10", help="weight decays, by comma")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each kind")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first of them")
    parser.add_argument("--sample", type=int, default=0, help="which sample of documents")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(
            documents(options.data, CORPUS_BYTES, part=options.sample),
            Path(folder),
            passes=[int(number) for number in options.passes.split(",")],
            decays=[float(number) for number in options.decays.split(",")],
            seeds=range(options.first_seed, options.first_seed + options.seeds),
        )
    say("held-out bits per byte", result, as_json=options.json)


def measure(
    texts: list[str], work: Path, *, passes: list[int], decays: list[float], seeds: Iterable[int]
) -> dict[str, dict[str, object]]:
    """Return bits per byte by passes and decay: the mean over seeds, and each."""
    shards, tokenizer = pack_half(texts, work / "corpus")
    row_tokens = RowReader(shards / "train").num_rows * SEQ_LEN
    result: dict[str, dict[str, object]] = {"corpus": {"tokens": row_tokens}}
    for number in passes:
        for decay in (*decays, "auto"):
            runs = [
                _held_out(
                    shards,
                    tokenizer,
                    work / f"{number}-{decay}-{seed}",
                    number * row_tokens,
                    seed,
                    decay,
                )
                for seed in seeds
            ]
            values = [bits for bits, _ in runs]
            name = f"{number} passes, decay {decay}"
            result[name] = {
                "bits per byte": statistics.fmean(values),
                "each seed": " ".join(f"{value:.4f}" for value in values),
                **runs[0][1],
            }
            print(name, result[name], file=sys.stderr, flush=True)
    return result


def _held_out(
    shards: Path, tokenizer: Path, output_dir: Path, total: int, seed: int, decay: float | str
) -> tuple[float, dict[str, object]]:
    """Train; return the held-out bits per byte, and the settings that were taken."""
    optimizer = {"lr": "auto", "weight_decay": decay}
    run = train(shards, tokenizer, output_dir, total, seed, optimizer=optimizer, network=SMALL)
    status: Any = read_json(output_dir / STATUS_NAME)
    settings = {
        "rows a step": run.train.micro_batch_rows,
        "rate": status["lr"],
        "decay": status["weight_decay"],
    }
    return held_out(run)["khm"], settings


def held_out(run: TrainRun) -> dict[str, float]:
    """Return the bits per byte that a run ended with, by language."""
    records = read_metrics(run.output_dir / METRICS_NAME)
    last = [record for record in records if record["kind"] == "validation"][-1]
    return {lang: last[lang]["bits_per_byte"] for lang in ("khm", "eng") if lang in last}


def rows_of(total: int) -> int:
    """Return the rows of a step of a run of so many tokens, by Step Law."""
    return max(1, step_law_batch(total, SEQ_LEN) // SEQ_LEN)


def train(
    shards: Path,
    tokenizer: Path,
    output_dir: Path,
    total: int,
    seed: int,
    *,
    optimizer: Mapping[str, object],
    max_rows: int | None = None,
    network: ModelConfig = NETWORK,
    teacher: Mapping[str, object] | None = None,
) -> TrainRun:
    """Train the small network on so many tokens, at the batch of `auto`.

    Args:
        shards: Packed rows.
        tokenizer: What cut them.
        output_dir: Where the model goes.
        total: Tokens of the run.
        seed: Of weights and order.
        optimizer: Settings of the recipe's `optimizer`.
        max_rows: Validation rows; None for all.
        network: What is trained.
        teacher: Settings of the recipe's `teacher`.
    """
    rows = rows_of(total)
    run = describe(
        shards,
        tokenizer,
        output_dir,
        network,
        seq_len=SEQ_LEN,
        rows=rows,
        num_steps=total // (rows * SEQ_LEN),
        seed=seed,
        optimizer=optimizer,
        schedule={"shape": "wsd", "warmup_frac": 0.05, "decay_frac": 0.5},
        validation={"every_steps": NEVER, "max_rows": max_rows},
        teacher=teacher or {},
    )
    run.write()
    job.train(run, reporter=Quiet(), stop=StopRequest())
    return run


def pack_half(documents: list[str], root: Path) -> tuple[Path, Path]:
    """Pack half of some Khmer documents and hold the other half out; return shards and tokenizer."""
    engine = open_engine("local", num_workers=1)
    builder = prepared.open_builder(
        root,
        {"khm": documents},
        engine,
        hold_out_every=2,
        tokenizer={"vocab_size": VOCAB_SIZE, "compare_gpt2": False},
        packing={"seq_len": SEQ_LEN},
    )
    shards, tokenizer = prepared.shards(builder).path, prepared.tokenizer(builder).path
    engine.close()
    return shards, tokenizer


def documents(data: Path, num_bytes: int, *, part: int = 0) -> list[str]:
    """Return documents of three kinds in random order, up to a size.

    Args:
        data: Folder of real text.
        num_bytes: UTF-8 bytes.
        part: How many such samples come before; no two share a document.
    """
    whole = [text for name in FILES for text in texts.read(data / "khm" / f"{name}.jsonl.gz")]
    found: list[list[str]] = [[]]
    size = 0
    for i in np.random.default_rng(0).permutation(len(whole)):
        if size >= num_bytes:
            if len(found) > part:
                return found[part]
            found.append([])
            size = 0
        found[-1].append(whole[i])
        size += len(whole[i].encode())
    raise ValueError(f"{data}: too little text for {part + 1} samples of {num_bytes} bytes")


if __name__ == "__main__":
    main()
