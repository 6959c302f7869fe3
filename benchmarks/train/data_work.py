"""What each data stage is worth: the same network and tokens from raw, normalized, deduplicated and filtered text.

    uv run python -m benchmarks.train.data_work --data FOLDER [--json] [--tokens 1500000] [--seeds 2]

All Khmer files of FOLDER, junk and near-duplicates among them, run through the product's stages; each corpus gets a
tokenizer of its own and is trained on for as many tokens. Yardstick: the bits that the documents of the evaluation set
take, which is in no corpus: as it stands for the raw text, normalized for the others, so that bytes do not count.
The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import texts
from benchmarks.builders import build, open_in, read_table
from benchmarks.show import add_options, say
from benchmarks.tokenize_pack import prepared
from benchmarks.train.passes import SEQ_LEN, train
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.evaluate.bits_per_byte import score_texts
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import Kind, Source
from tonsai_pipeline.train.spec import MODEL_NAME

VOCAB_SIZE = 4096
_KINDS: dict[str, Kind] = {"dictionary": "lexicon"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--tokens", type=int, default=1_500_000, help="tokens of each run")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each corpus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.data, Path(folder), options.tokens, options.seeds)
    say("bits of the evaluation set", result, as_json=options.json)


def measure(data: Path, work: Path, tokens: int, seeds: int) -> dict[str, dict[str, object]]:
    """Train on each corpus and measure."""
    corpora, result = corpora_of(data, work / "stages"), {}
    held_out = texts.read_texts(data / "khm" / f"{texts.EVALUATION}.jsonl.gz")
    canonical = texts.read(data / "khm" / f"{texts.EVALUATION}.jsonl.gz")
    changed = sum(one != other for one, other in zip(held_out, canonical, strict=True))
    result["evaluation set"] = {"documents": len(held_out), "changed by the normalizer": changed}
    for name, documents in corpora.items():
        measured = held_out if name == "raw" else canonical
        result[name] = _train(documents, work / name, measured, tokens, seeds)
        print(name, result[name], file=sys.stderr, flush=True)
    return result


def corpora_of(data: Path, work: Path) -> dict[str, list[str]]:
    """Run the stages; return the texts that are there after each, in random order."""
    sources = []
    for path in texts.files(data, "khm"):
        name = path.name.split(".")[0]
        if name != texts.EVALUATION:
            kind = _KINDS.get(name, "prose")
            sources.append(Source(name=name, lang="khm", path=str(path.resolve()), kind=kind))
    builder = open_in(work, Recipe(name="worth", sources=tuple(sources)))
    build(builder, builder.pipeline.up_to("scored_documents"))
    raw = read_table(builder, "raw_documents", "doc_id", "text")
    table = read_table(builder, "normalized_documents", "doc_id", "text")
    scored = read_table(builder, "scored_documents_of_dump", "doc_id", "drop_reason")
    normalized = dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    verdicts = dict(zip(*(scored[name].to_pylist() for name in scored.column_names), strict=True))
    found = {
        "raw": raw["text"].to_pylist(),
        "normalized": list(normalized.values()),
        "deduplicated": [normalized[doc_id] for doc_id in verdicts],
        "filtered": [normalized[doc_id] for doc_id, reason in verdicts.items() if reason is None],
    }
    generator = np.random.default_rng(0)
    return {
        name: [documents[i] for i in generator.permutation(len(documents)) if documents[i]]
        for name, documents in found.items()
    }


def _train(
    documents: list[str], work: Path, held_out: list[str], tokens: int, seeds: int
) -> dict[str, object]:
    engine = open_engine("local", num_workers=1)
    builder = prepared.open_builder(
        work / "corpus",
        {"khm": documents},
        engine,
        tokenizer={"vocab_size": VOCAB_SIZE, "compare_gpt2": False},
        packing={"seq_len": SEQ_LEN},
    )
    shards, tokenizer = prepared.shards(builder), prepared.tokenizer(builder).path
    engine.close()
    measured = TextSet("evaluation", tuple(Document(text, "khm", "") for text in held_out))
    values = []
    for seed in range(seeds):
        optimizer = {"lr": "auto", "weight_decay": "auto"}
        run = train(
            shards.path,
            tokenizer,
            work / f"run-{seed}",
            tokens,
            seed,
            optimizer=optimizer,
            max_rows=1,
        )
        scores = score_texts(open_subject(str(run.output_dir / MODEL_NAME)), measured)
        values.append(sum(scores.bits))
    return {
        "documents": len(documents),
        "text bytes": sum(len(text.encode()) for text in documents),
        "million bits": statistics.fmean(values) / 1e6,
        "each seed": " ".join(f"{value / 1e6:.4f}" for value in values),
        "bits per byte": statistics.fmean(values) / sum(len(text.encode()) for text in held_out),
    }


if __name__ == "__main__":
    main()
