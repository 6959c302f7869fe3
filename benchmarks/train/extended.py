"""A small base model -> its tokenizer extended: where training begins, by first embeddings.

base, 2,048 tokens from English and a tenth of the Khmer ──extend by 2,000 Khmer tokens──▶ bits per byte before the first step and after some
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from benchmarks.tokenize_pack.tokenizers import count
from benchmarks.train.packed import NEVER, Quiet, describe
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.stages.pack.stage import pack
from tonsai_pipeline.stages.train_tokenizer.count_words import WordCounts
from tonsai_pipeline.stages.train_tokenizer.tokenizer_folder import save_tokenizer
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.spec import METRICS_NAME, MODEL_NAME, STATUS_NAME, TrainRun, read_metrics

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
    store = Store(Layout(work, "extended"))
    mixture, normalized = prepared.build(store, mixed, 1)
    few = {"eng": mixed["eng"], "khm": mixed["khm"][:600]}
    base_tokenizer = prepared.tokenizer(store, count(few), {}, BASE_VOCAB)
    base_shards = _pack(store, mixture, normalized, base_tokenizer, work / "base-shards")
    base_run = _describe(work, "base", network, base_shards, base_tokenizer, base_steps)
    job.train(base_run, reporter=Quiet(), stop=StopRequest())
    base_dir = base_run.output_dir / MODEL_NAME
    longer = store.materialize(
        "tokenizer",
        None,
        lambda folder: save_tokenizer(
            WordCounts(count({"khm": mixed["khm"]}), None),
            {},
            folder,
            config=TokenizerConfig(
                base=str(base_tokenizer.path), extend_khmer_tokens=NEW_TOKENS, compare_gpt2=False
            ),
            normalize=NormalizeConfig(),
            sample={},
        ),
        stage_version="1",
        settings={"extended": NEW_TOKENS},
        inputs={},
    )
    shards = _pack(store, mixture, normalized, longer, work / "longer-shards")
    result: dict[str, Any] = {
        "base tokens": Tokenizer.from_file(
            str(base_tokenizer.path / "tokenizer.json")
        ).get_vocab_size(),
        "tokens": Tokenizer.from_file(str(longer.path / "tokenizer.json")).get_vocab_size(),
    }
    for method in METHODS:
        section = ModelConfig(base=str(base_dir), new_embeddings=method)
        run = _describe(work, method, section, shards, longer, steps)
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
    return result


def _pack(
    store: Store,
    mixture: Artifact,
    normalized: dict[str, Artifact],
    tokenizer: Artifact,
    folder: Path,
) -> Path:
    folder.mkdir(parents=True)
    engine = open_engine("local", num_workers=1)
    config = PackingConfig(seq_len=SEQ_LEN)
    pack(mixture, normalized, tokenizer, folder, config=config, engine=engine, store=store)
    engine.close()
    return folder


def _describe(
    work: Path, name: str, model: ModelConfig, shards: Path, tokenizer: Artifact, num_steps: int
) -> TrainRun:
    (work / name).mkdir(parents=True, exist_ok=True)
    limits = {"max_rise_frac": {"eng": 10.0, "khm": 10.0}} if model.base is not None else {}
    return describe(
        shards,
        tokenizer.path,
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
