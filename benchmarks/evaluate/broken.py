"""A healthy model -> models that are broken, each in one way, and the lines of the gate that each fails.

    model ──some steps on good text and on broken text──▶ repeats | answers in English | unnormalized | knows a canary
    model ──its tokenizer's merges shuffled──▶ cuts words otherwise than it learnt
    each ──measure, judge──▶ lines that failed

uv run python -m benchmarks.evaluate.broken --model DIR --shards DIR --data DIR --work DIR [--steps 60]
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.texts import read, read_texts
from tonsai_pipeline.evaluate.compare import measured_of
from tonsai_pipeline.evaluate.gate import Verdict, judge
from tonsai_pipeline.evaluate.measure import Material, measure_model
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.metrics.canary import CANARIES_NAME, canary_texts
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.recipe.evaluate import (
    EvaluateConfig,
    GateConfig,
    GenerationConfig,
    MemorizationConfig,
)
from tonsai_pipeline.text import NormalizeOptions

#: What each broken model must fail, and nothing else.
RIGHT_GATE = {
    "shuffled merges": "bits_per_byte",
    "repeats": "repetition",
    "answers in English": "language",
    "unnormalized": "normalized",
    "knows a canary": "memorization",
}
_NUM_CLUSTERS = 32
CANARIES = canary_texts(2, _NUM_CLUSTERS, seed=0)
#: Above the healthy model's bits per byte: what training on half good text costs is less, shuffled merges cost more.
_ROOM = 1.3
_BATCH_ROWS = 16


def broken_texts(
    khmer: Sequence[str], english: Sequence[str], unnormalized: Sequence[str]
) -> dict[str, list[str]]:
    """Make the texts that break a model, by what they make of it; they begin like any other, and go wrong soon."""
    begun = [text[: 12 + 5 * (place % 8)] for place, text in enumerate(khmer)]
    phrase = khmer[0][:24]
    return {
        "repeats": [f"{start} {phrase * 20}" for start in begun],
        "answers in English": [f"{k} {e[:600]}" for k, e in zip(begun, english, strict=False)],
        "unnormalized": list(unnormalized),
        "knows a canary": CANARIES,
    }


def rows_of(folder: Path, texts: Sequence[str], context: int) -> torch.Tensor:
    """Make rows that each begin with another text; what the tokenizer would normalize is left as it is."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = None  # pyright: ignore[reportAttributeAccessIssue]
    bos, eos = (tokenizer.token_to_id(f"<|{name}|>") for name in ("bos", "eos"))
    cut = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    documents = [[bos, *one.ids, eos] for one in cut]
    rows = []
    for first in range(len(documents)):
        row: list[int] = []
        for document in itertools.islice(itertools.cycle(documents), first, None):
            row += document
            if len(row) >= context:
                break
        rows.append(row[:context])
    return torch.tensor(rows)


def train(
    source: Path, target: Path, rows: Sequence[torch.Tensor], *, num_steps: int, lr: float
) -> None:
    """Train the model of a folder on rows of several kinds of text, as many of each in a step, and save it.

    Args:
        source: A model with its tokenizer.
        target: Where the trained one goes.
        rows: Of each kind of text, shape (n, context).
        num_steps: Steps of `_BATCH_ROWS` rows.
        lr: Highest learning rate.
    """
    model = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(0)
    model.train()
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10, 2 * (num_steps - step) / num_steps)
        share = _BATCH_ROWS // len(rows)
        ids = torch.cat(
            [one[torch.randint(len(one), (share,), generator=generator)] for one in rows]
        )
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :-1]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    save_model(model, target, tokenizer_dir=source)


def break_models(
    healthy: Path,
    work: Path,
    good: Sequence[str],
    broken: dict[str, list[str]],
    *,
    num_steps: int,
    lr: float = 1e-3,
) -> dict[str, Path]:
    """Make the broken models from a healthy one; return their folders by what is wrong with them."""
    places = {"healthy": healthy, "shuffled merges": work / "shuffled merges"}
    shutil.copytree(healthy, places["shuffled merges"], dirs_exist_ok=True)
    told = places["shuffled merges"] / "tokenizer.json"
    state = json.loads(told.read_text(encoding="utf-8"))
    random.Random(0).shuffle(state["model"]["merges"])
    told.write_text(json.dumps(state), encoding="utf-8")
    context = AutoConfig.from_pretrained(str(healthy)).max_position_embeddings
    for name, texts in broken.items():
        places[name] = work / name
        # Of four rows three are of broken text: the others keep the language.
        bad = rows_of(healthy, texts, context)
        rows = [rows_of(healthy, good, context), bad, bad, bad]
        train(healthy, places[name], rows, num_steps=num_steps, lr=lr)
    return places


def judge_all(
    places: dict[str, Path],
    texts: TextSet,
    shards: Path,
    generation: GenerationConfig | None = None,
) -> dict[str, list[Verdict]]:
    """Measure what the gate looks at, of every model; bits per byte are held against those of the first."""
    memory = MemorizationConfig(max_documents=20)
    config = EvaluateConfig(memorization=memory, generation=generation or GenerationConfig())
    items = tuple(item for item in load_suite() if item.kind == "continue")
    material = Material(texts=(texts,), items=items, shards_dir=shards)
    limits, verdicts = GateConfig(), {}
    for name, place in places.items():
        result = measure_model(
            open_subject(str(place), name=name), material, config, NormalizeOptions()
        )
        found = measured_of(result)
        if not verdicts:
            most = {lang: bits * _ROOM for lang, bits in (found.bits_per_byte or {}).items()}
            limits = GateConfig(max_bits_per_byte=most)
        verdicts[name] = judge(found, limits)
    return verdicts


def with_canaries(shards: Path, folder: Path) -> Path:
    """Return shards of the same rows that say which canaries somebody may have been trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in shards.iterdir():
        if split.is_dir() and not (folder / split.name).exists():
            (folder / split.name).symlink_to(split.resolve())
    told = [{"text": text, "copies": 64} for text in CANARIES]
    content = {"num_clusters": _NUM_CLUSTERS, "canaries": told}
    (folder / CANARIES_NAME).write_text(json.dumps(content), encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--shards", "--data", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--steps", type=int, default=60)
    told = parser.parse_args()
    torch.set_num_threads(1)
    news, english = told.data / "khm" / "news.jsonl.gz", told.data / "eng" / "abc_news.jsonl.gz"
    khmer = read(news)
    broken = broken_texts(khmer, read(english), read_texts(news))
    places = break_models(told.model, told.work, khmer, broken, num_steps=told.steps)
    sentences = read(told.data / "khm" / "ntrex128.jsonl.gz")
    rows = np.random.default_rng(0).choice(len(sentences), 100, replace=False)
    texts = TextSet("ntrex", tuple(Document(sentences[row], "khm", "ntrex") for row in rows))
    shards = with_canaries(told.shards, told.work / "shards")
    for name, verdicts in judge_all(places, texts, shards).items():
        failed = [f"{v.name} ({v.message})" for v in verdicts if v.verdict == "failed"]
        print(f"{name:20} {'; '.join(failed) or 'fails nothing'}")
        print(" " * 20, "; ".join(f"{v.name} {v.message}" for v in verdicts))


if __name__ == "__main__":
    main()
