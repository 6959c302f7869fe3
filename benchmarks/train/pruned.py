"""A base model -> its tokenizer pruned, and extended too: parameters, bytes per token, bits per byte before and after training.

    uv run python -m benchmarks.train.pruned --data FOLDER [--json] [--keep 3900,3072] [--base-steps 400] [--steps 40]
    uv run python -m benchmarks.train.pruned --data FOLDER --tokenizer FOLDER --keep 96000,64000,32000

The base has 4,096 tokens of all texts and learned from one half of the documents; training goes on with the other half,
where tokens are counted and all is measured, on documents held out. With `--tokenizer` nothing is trained: a real
tokenizer is pruned by one half, and cuts the other half and NTREX. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from benchmarks import texts
from benchmarks.show import add_options, say
from benchmarks.tokenize_pack import prepared
from benchmarks.train.packed import NEVER, train_on
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.model.size import measure_shape
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.stages.train_tokenizer.base_tokenizer import load_base
from tonsai_pipeline.stages.train_tokenizer.counters import open_counters
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics
from tonsai_pipeline.tokenizer.prune import prune_tokenizer
from tonsai_pipeline.train.spec import MODEL_NAME

NETWORK = ModelConfig(architecture="qwen3", num_layers=4, hidden_size=128, num_heads=4)
BASE_VOCAB, NEW_TOKENS, SEQ_LEN, ROWS = 4096, 1000, 256, 8
MAX_ROWS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--tokenizer", type=Path, help="a real tokenizer; nothing is trained")
    parser.add_argument("--keep", default="3900,3072", help="tokens that stay, by comma")
    parser.add_argument("--base-steps", type=int, default=400, help="steps of the base model")
    parser.add_argument("--steps", type=int, default=40, help="steps after that")
    options = parser.parse_args()
    keep = [int(number) for number in options.keep.split(",")]
    halves = split_documents(options.data)
    if options.tokenizer is not None:
        result = cut_by_real(options.tokenizer, halves, texts.parallel(options.data), keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(Path(folder), halves, keep, options)
    say("pruned", result, as_json=options.json)


def split_documents(data: Path) -> list[dict[str, list[str]]]:
    """Return two halves of the documents of each language, in random order."""
    halves: list[dict[str, list[str]]] = [{}, {}]
    for lang, found in texts.training(data).items():
        order = np.random.default_rng(0).permutation(len(found))
        for number, half in enumerate(halves):
            half[lang] = [found[i] for i in order[number::2]]
    return halves


def cut_by_real(
    folder: Path,
    halves: Sequence[Mapping[str, Sequence[str]]],
    parallel: Mapping[str, Sequence[str]],
    keep: Sequence[int],
) -> dict[str, Any]:
    """Return by tokens kept: how many more tokens the other half and NTREX take."""
    config = TokenizerConfig(base=str(folder), keep_base_tokens=keep[0], compare_gpt2=False)
    count = open_counters(config)["base"]
    counts: Counter[str] = Counter()
    for found in halves[0].values():
        counts.update(count(pa.array(found, pa.large_string())))
    base = load_base(str(folder)).tokenizer
    result: dict[str, Any] = {"tokens": len(base.get_vocab()), "tokens that occur": len(counts)}
    sets = {"other half": halves[1], "NTREX": parallel}
    for number in keep:
        pruned = prune_tokenizer(base, counts, number)
        result[f"{number:,} kept"] = {
            f"{name}, {lang}": _change(base, pruned, found)
            for name, languages in sets.items()
            for lang, found in languages.items()
        }
    return result


def _change(base: Tokenizer, pruned: Tokenizer, found: Sequence[str]) -> str:
    before, after = (
        sum(len(one.ids) for one in tokenizer.encode_batch_fast(list(found)))
        for tokenizer in (base, pruned)
    )
    num_bytes = sum(len(text.encode()) for text in found)
    return f"{num_bytes / after:.3f} bytes a token ({after / before - 1:+.2%} tokens)"


def measure(
    work: Path,
    halves: Sequence[Mapping[str, Sequence[str]]],
    keep: Sequence[int],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return by tokenizer: its size, its cut, and bits per byte of the network with it."""
    engine = open_engine("local", num_workers=1)

    def builder(name: str, corpus: Mapping[str, Sequence[str]], **tokenizer: Any) -> Builder:
        return prepared.open_builder(
            work / name,
            corpus,
            engine,
            hold_out_every=20,
            tokenizer={"compare_gpt2": False, **tokenizer},
            packing={"seq_len": SEQ_LEN},
        )

    whole = {lang: [*halves[0][lang], *halves[1][lang]] for lang in halves[0]}
    tokenizer = str(prepared.tokenizer(builder("whole", whole, vocab_size=BASE_VOCAB)).path)
    first = builder("first", halves[0], base=tokenizer)
    base = _run(first, NETWORK, work / "base", options.base_steps, 4e-3)
    kinds: dict[str, dict[str, Any]] = {"all tokens": {}}
    kinds |= {f"{number:,} kept": {"keep_base_tokens": number} for number in keep}
    kinds |= {
        f"{name}, {NEW_TOKENS:,} new": {**kind, "extend_khmer_tokens": NEW_TOKENS}
        for name, kind in kinds.items()
    }
    result: dict[str, Any] = {}
    for name, kind in kinds.items():
        then = builder("second", halves[1], base=tokenizer, **kind)
        model = ModelConfig(base=str(base / MODEL_NAME))
        result[name] = _numbers(then, _run(then, model, work / name, options.steps, 5e-4))
        print(name, result[name], file=sys.stderr, flush=True)
    engine.close()
    return result


def _run(builder: Builder, model: ModelConfig, output_dir: Path, num_steps: int, lr: float) -> Path:
    train_on(
        builder,
        model,
        output_dir,
        num_steps=num_steps,
        optimizer={"lr": lr},
        schedule={"warmup_frac": 0.05, "decay_frac": 0.3},
        validation={"every_steps": NEVER, "max_rows": MAX_ROWS},
        regression={} if model.base is None else {"max_rise_frac": {"eng": 10.0, "khm": 10.0}},
    )
    return output_dir


def _numbers(builder: Builder, run: Path) -> dict[str, Any]:
    report = prepared.tokenizer(builder).report
    model = ModelConfig(base=str(run / MODEL_NAME))
    shape = measure_shape(model, vocab_size=None, seq_len=SEQ_LEN)
    status: Any = read_json(run / STATUS_NAME)
    records = [r for r in read_metrics(run / METRICS_NAME) if r["kind"] == "validation"]
    result: dict[str, Any] = {"tokens": report["vocab_size"], "parameters": shape.num_parameters}
    for lang in ("khm", "eng"):
        result[lang] = {
            "bytes a token": report["fertility"][lang]["bytes_per_token"],
            "the base with its own tokenizer": status["base"][lang]["bits_per_byte"],
            "first": records[0][lang]["bits_per_byte"],
            "last": records[-1][lang]["bits_per_byte"],
        }
    return result


if __name__ == "__main__":
    main()
