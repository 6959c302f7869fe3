"""Law in Limon, converted -> what a small model learns from it about a law that it has not seen.

news, encyclopaedia, web                     ──train──▶ model ─┐
the same and pages of the Civil Code, converted ─▶ model ─┼─▶ bits per byte of the constitution, typed in Unicode
the same and these pages as they came        ──train──▶ model ─┘

One tokenizer, which no law went into, one network, as many tokens for each, and the same first weights. The held-out law is
measured article by article, so that two models can be compared by pairs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from benchmarks.train.packed import train_on
from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.evaluate.bits_per_byte import TextScores, difference, rows_of, score_texts
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.metrics.bootstrap import Estimate
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.text import cut_damage_batch, normalize_batch
from tonsai_pipeline.text.legacy import convert_documents

BASE = ("news", "wikipedia", "web_oscar")
SEQ_LEN, ROWS, VOCAB_SIZE = 256, 8, 4096
NUM_NEWS_HELD_OUT = 60
#: Shorter pieces of the law are titles.
MIN_CHARS = 100
#: Characters that two texts must share to be called copies there: about six words.
SHARED_CHARS = 30
NETWORK = ModelConfig(architecture="llama", num_layers=4, hidden_size=128, num_heads=4)


def measure(data: Path, work: Path, *, num_tokens: int, seeds: int, arms: list[str]) -> Any:
    """Train each arm with each seed; return what was trained on and the bits per byte."""
    corpora, held_out = read_corpora(data)
    engine = open_engine("local", num_workers=1)
    few = prepared.open_builder(
        work / "without", {"khm": corpora["without"]}, engine, tokenizer=_tokenizer(VOCAB_SIZE)
    )
    base = str(prepared.tokenizer(few).path)
    scores: dict[tuple[str, int], dict[str, TextScores]] = {}
    for seed in range(seeds):
        for arm in arms:
            model_dir = _train(
                work, arm, corpora[arm], base, engine, num_tokens=num_tokens, seed=seed
            )
            subject = open_subject(str(model_dir))
            scores[arm, seed] = {one.name: score_texts(subject, one) for one in held_out}
            print(f"{arm}, seed {seed}: measured", file=sys.stderr, flush=True)
    engine.close()
    return {
        "trained on, MB": {arm: sum(len(t.encode()) for t in corpora[arm]) / 1e6 for arm in arms},
        "tokens of each run": num_tokens,
        f"share of the held-out law's {SHARED_CHARS}-character sequences that occur": {
            "in the base": _shared(held_out[0], corpora["without"]),
            "in the converted pages": _shared(held_out[0], converted_pages(data)),
        },
        "bits per byte": {one.name: _numbers(one, scores) for one in held_out},
    }


def read_corpora(data: Path) -> tuple[dict[str, list[str]], list[TextSet]]:
    """Return the texts of each arm, and what is held out: a law, and news."""
    khm = data / "khm"
    found = {name: texts.read(khm / f"{name}.jsonl.gz") for name in BASE}
    news, found["news"] = found["news"][:NUM_NEWS_HELD_OUT], found["news"][NUM_NEWS_HELD_OUT:]
    base = [text for name in BASE for text in found[name]]
    pages = texts.read(khm / "junk_legacy_font.jsonl.gz")
    articles = _articles(max(texts.read(khm / "law_clean.jsonl.gz"), key=len))
    corpora = {"without": base, "with": base + converted_pages(data), "codes": base + pages}
    return corpora, [
        TextSet(name, tuple(Document(text, "khm", name) for text in some))
        for name, some in (("law", articles), ("news", news))
    ]


def converted_pages(data: Path) -> list[str]:
    """Return the pages that pass, as `normalize` would keep them."""
    pages = texts.read_texts(data / "khm" / "junk_legacy_font.jsonl.gz")
    kept = [one.text for one in convert_documents(pages) if one is not None and one.families]
    normal = normalize_batch(pa.array(kept, pa.large_string()))
    return cut_damage_batch(normal).texts.to_pylist()


def _articles(law: str) -> list[str]:
    """Cut a law in Markdown at its headings, behind what says where it is from."""
    pieces = re.split(r"\n#+ ", law)[2:]
    bodies = [piece.partition("\n")[2].strip() for piece in pieces]
    return [body for body in bodies if len(body) >= MIN_CHARS]


def _train(
    work: Path,
    arm: str,
    corpus: list[str],
    base: str,
    engine: Engine,
    *,
    num_tokens: int,
    seed: int,
) -> Path:
    builder = prepared.open_builder(
        work / f"corpus-{arm}",
        {"khm": corpus},
        engine,
        tokenizer=_tokenizer(None, base=base),
        packing={"seq_len": SEQ_LEN},
    )
    return train_on(
        builder,
        NETWORK,
        work / f"{arm}-{seed}",
        num_steps=num_tokens // (SEQ_LEN * ROWS),
        optimizer={"lr": 3e-3},
        schedule={"warmup_frac": 0.03, "decay_frac": 0.4},
        seed=seed,
    )


def _tokenizer(vocab_size: int | None, **section: Any) -> dict[str, Any]:
    size = {} if vocab_size is None else {"vocab_size": vocab_size}
    return {"compare_gpt2": False, **size, **section}


def _shared(held_out: TextSet, corpus: list[str]) -> float:
    known = {
        hash(text[i : i + SHARED_CHARS])
        for text in corpus
        for i in range(len(text) - SHARED_CHARS + 1)
    }
    found = [
        hash(one.text[i : i + SHARED_CHARS]) in known
        for one in held_out.documents
        for i in range(len(one.text) - SHARED_CHARS + 1)
    ]
    return float(np.mean(found))


def _numbers(
    held_out: TextSet, scores: dict[tuple[str, int], dict[str, TextScores]]
) -> dict[str, Any]:
    """Return a row for each arm and seed, and each other arm's lead over `without` by pairs."""
    numbers: dict[str, Any] = {"documents": len(held_out.documents)}
    for (arm, seed), found in scores.items():
        own = found[held_out.name]
        numbers[f"{arm}, seed {seed}"] = rows_of(held_out, own)[0].bits_per_byte.value
        if arm != "without" and ("without", seed) in scores:
            lead = difference(own, scores["without", seed][held_out.name], "khm")
            numbers[f"{arm} - without, seed {seed}"] = _interval(lead)
    return numbers


def _interval(one: Estimate) -> str:
    return f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
