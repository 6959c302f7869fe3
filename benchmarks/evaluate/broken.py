"""A healthy model -> models that are broken, each in one way, and the lines of the gate that each fails.

    model ──some steps on good text and on broken text──▶ repeats | answers in English | unnormalized | knows a canary
    model ──its tokenizer's merges shuffled──▶ cuts words otherwise than it learnt
    each ──measured as the recipe's evaluation_report──▶ lines of the gate

uv run python -m benchmarks.evaluate.broken --recipe FILE --data DIR --work DIR [--steps 60]
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.texts import read, read_texts
from tonsai_pipeline.cli.evaluate import recipe_material
from tonsai_pipeline.cli.graph import GraphOptions, open_reader, open_workspace
from tonsai_pipeline.evaluate.compare import compare
from tonsai_pipeline.evaluate.gate import Verdict
from tonsai_pipeline.evaluate.measure import Material
from tonsai_pipeline.metrics.canary import CANARIES_NAME, canary_texts
from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.train.spec import MODEL_NAME

#: What each broken model must fail, and nothing else.
RIGHT_GATE = {
    "shuffled merges": "tokenizer",
    "repeats": "repetition",
    "answers in English": "language",
    "unnormalized": "normalized",
    "knows a canary": "memorization",
}
_NUM_CLUSTERS = 32
CANARIES = canary_texts(2, _NUM_CLUSTERS, seed=0)
#: Steps, in units of the fewest, that a fault takes until it is learnt.
_STEPS = {"unnormalized": 2, "knows a canary": 3}
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


def rows_of(
    folder: Path, texts: Sequence[str], context: int, *, then: Sequence[str] = ()
) -> torch.Tensor:
    """Make rows that each begin with another text; what the tokenizer would normalize is left as it is.

    Args:
        folder: Of the tokenizer.
        texts: One row begins with each.
        context: Tokens of a row.
        then: Texts that fill the rows, another first one each; empty: those after the one that the row begins with.
            A text that comes twice in a row is copied from there, and not learnt.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = None  # pyright: ignore[reportAttributeAccessIssue]
    bos, eos = (tokenizer.token_to_id(f"<|{name}|>") for name in ("bos", "eos"))
    documents, filling = (
        [
            [bos, *one.ids, eos]
            for one in tokenizer.encode_batch(list(own), add_special_tokens=False)
        ]
        for own in (texts, then)
    )
    rows = []
    for first, document in enumerate(documents):
        rest = itertools.islice(itertools.cycle(filling or documents), first + 1, None)
        row = list(document)
        while len(row) < context:
            row += next(rest)
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
    fine = rows_of(healthy, good, context)
    for name, texts in broken.items():
        places[name] = work / name
        if name == "knows a canary":
            planted = texts * (len(good) // len(texts))
            rows = [rows_of(healthy, planted, context, then=good), fine]
        else:
            # Of four rows three are of broken text: the others keep the language.
            rows = [fine, *[rows_of(healthy, texts, context)] * 3]
        steps = num_steps * _STEPS.get(name, 1)
        train(healthy, places[name], rows, num_steps=steps, lr=lr)
    return places


def judge_all(
    places: dict[str, Path],
    material: Material,
    config: EvaluateConfig,
    untrained: Mapping[str, float],
) -> dict[str, list[Verdict]]:
    """Measure and judge every model as the recipe's own is."""
    verdicts = {}
    for name, place in places.items():
        found = compare(
            {name: str(place)},
            config,
            material,
            NormalizeOptions(),
            title=name,
            log=lambda _: None,
            is_trained_on_corpus=True,
            untrained=untrained,
        )
        verdicts[name] = list(found.verdicts)
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
    parser.add_argument("--recipe", required=True, help="Its report is made, in TONSAI_HOME.")
    for name in ("--data", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--steps", type=int, default=60)
    told = parser.parse_args()
    torch.set_num_threads(1)
    news, english = told.data / "khm" / "news.jsonl.gz", told.data / "eng" / "abc_news.jsonl.gz"
    khmer = read(news)
    recipe, workspace = open_workspace(told.recipe, GraphOptions(data=told.data))
    builder = open_reader(recipe, workspace)
    given = builder.arguments("evaluation_report")
    places = break_models(
        given["trained"].path / MODEL_NAME,
        told.work,
        khmer,
        broken_texts(khmer, read(english), read_texts(news)),
        num_steps=told.steps,
    )
    material = recipe_material(builder, told.work, recipe.evaluate.max_documents)
    shards = with_canaries(given["packed_shards"].path, told.work / "shards")
    untrained = {
        lang: pair["before"]["bits_per_byte"]
        for lang, pair in workspace.store(recipe)
        .current("evaluation_report")
        .report["languages"]
        .items()
    }
    judged = judge_all(places, replace(material, shards_dir=shards), recipe.evaluate, untrained)
    for name, verdicts in judged.items():
        failed = [f"{v.name} ({v.message})" for v in verdicts if v.verdict == "failed"]
        print(f"{name:20} {'; '.join(failed) or 'fails nothing'}", flush=True)
        print(" " * 20, "; ".join(f"{v.name} {v.message}" for v in verdicts), flush=True)


if __name__ == "__main__":
    main()
