"""A small base model -> its tokenizer extended: where training begins, by first embeddings.

base, 2,048 tokens from English and a tenth of the Khmer ──extend by 2,000 Khmer tokens──▶ bits per byte before the first step and after some
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from benchmarks.train.packed import NEVER, Quiet, describe
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics
from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun

SEQ_LEN, ROWS = 256, 8
BASE_VOCAB, NEW_TOKENS = 2048, 2000
METHODS = ("subword_mean", "mean", "random")


def measure(
    data: Path, work: Path, network: ModelConfig, *, base_steps: int, steps: int
) -> dict[str, Any]:
    found = texts.training(data)
    generator = np.random.default_rng(0)
    mixed = {
        lang: [found_texts[i] for i in generator.permutation(len(found_texts))[:number]]
        for (lang, found_texts), number in zip(found.items(), (6_000, 6_000), strict=True)
    }
    few = {"eng": mixed["eng"], "khm": mixed["khm"][:600]}
    engine = open_engine("local", num_workers=1)

    def builder(name: str, corpus: dict[str, list[str]], **tokenizer: Any) -> Builder:
        section, packing = {"compare_gpt2": False} | tokenizer, {"seq_len": SEQ_LEN}
        return prepared.open_builder(
            work / name, corpus, engine, tokenizer=section, packing=packing
        )

    trained = prepared.tokenizer(builder("few", few, vocab_size=BASE_VOCAB))
    base = builder("mixed", mixed, base=str(trained.path))
    longer = builder("mixed", mixed, base=str(trained.path), extend_khmer_tokens=NEW_TOKENS)
    base_run = _describe(work, "base", network, base, base_steps)
    job.train(base_run, reporter=Quiet(), stop=StopRequest())
    base_dir = base_run.output_dir / MODEL_NAME
    result: dict[str, Any] = {
        "base tokens": prepared.tokenizer(base).report["vocab_size"],
        "tokens": prepared.tokenizer(longer).report["vocab_size"],
    }
    for method in METHODS:
        section = ModelConfig(base=str(base_dir), new_embeddings=method)
        run = _describe(work, method, section, longer, steps)
        run.write()
        job.train(run, reporter=Quiet(), stop=StopRequest())
        result.setdefault("base, bits per byte", _base(run))
        records = [
            r for r in read_metrics(run.output_dir / METRICS_NAME) if r["kind"] == "validation"
        ]
        for name, record in (("first", records[0]), (f"after {steps} steps", records[-1])):
            result[f"{method}, {name}"] = {
                lang: record[lang]["bits_per_byte"] for lang in ("khm", "eng")
            }
    engine.close()
    return result


def _describe(
    work: Path, name: str, model: ModelConfig, builder: Builder, num_steps: int
) -> TrainRun:
    (work / name).mkdir(parents=True, exist_ok=True)
    limits = {"max_rise_frac": {"eng": 10.0, "khm": 10.0}} if model.base is not None else {}
    return describe(
        prepared.shards(builder).path,
        prepared.tokenizer(builder).path,
        work / name,
        model,
        seq_len=SEQ_LEN,
        rows=ROWS,
        num_steps=num_steps,
        optimizer={"lr": 4e-3 if model.base is None else 5e-4},
        schedule={"warmup_frac": 0.1, "decay_frac": 0.3},
        validation={"every_steps": NEVER, "max_rows": 32},
        regression=limits,
    )


def _base(run: TrainRun) -> dict[str, float]:
    status: Any = read_json(run.output_dir / STATUS_NAME)
    return {lang: status["base"][lang]["bits_per_byte"] for lang in ("khm", "eng")}
