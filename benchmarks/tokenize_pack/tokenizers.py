"""Bytes per token on parallel text, ours and GPT-2's words; cuts inside clusters; round trip of everything."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from benchmarks import texts
from tonsai_pipeline.text import NormalizeOptions, normalize_batch
from tonsai_pipeline.tokenizer.assemble import build_tokenizer, special_tokens
from tonsai_pipeline.tokenizer.baseline import train_gpt2
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.fertility import measure as cut
from tonsai_pipeline.tokenizer.pretokenize import CLUSTERS, split_words, split_words_gpt2

KINDS = {
    "ours": {},
    "ours, char alphabet": {"alphabet": "char"},
    "ours, no units": {"min_cluster_per_million": None},
}


def count(corpus: dict[str, list[str]], split=split_words) -> Counter[str]:
    counts: Counter[str] = Counter()
    for said in corpus.values():
        for text in said:
            counts.update(split(text))
    return counts


def train(words: Counter[str], vocab_size: int, **options) -> Tokenizer:
    specials = special_tokens(27)
    model = train_bpe(words, BpeOptions(vocab_size, **options), special_tokens=specials)
    return build_tokenizer(model, specials, NormalizeOptions())


def measure(data: Path, sizes: list[int]) -> dict[str, object]:
    corpus, held_out = texts.training(data), texts.parallel(data)
    words, words_gpt2 = count(corpus), count(corpus, split_words_gpt2)
    found: dict[str, object] = {
        "training bytes": {
            lang: sum(len(text.encode()) for text in said) for lang, said in corpus.items()
        },
        "words that start inside a cluster": {
            "ours": cuts_between_words(corpus | held_out, split_words),
            "gpt2": cuts_between_words(corpus | held_out, split_words_gpt2),
        },
    }
    for size in sizes:
        tables = {}
        for name, options in KINDS.items():
            if name != "ours" and size < max(sizes):
                continue
            started = time.perf_counter()
            tokenizer = train(words, size, **options)
            tables[name] = fertility(tokenizer, held_out)
            tables[name]["training s"] = time.perf_counter() - started
            if size == max(sizes) and name != "ours, no units":
                tables[name]["round trip"] = round_trip(tokenizer, data)
        tables["gpt2 words"] = fertility(train_gpt2(words_gpt2, size), held_out)
        saved = tables["gpt2 words"]["khm tokens"] / tables["ours"]["khm tokens"]
        found[f"vocabulary {size}"] = tables | {"gpt2 words / ours, khm tokens": saved}
    return found


def fertility(tokenizer: Tokenizer, held_out: dict[str, list[str]]) -> dict[str, object]:
    khm, eng = cut(tokenizer, held_out["khm"]), cut(tokenizer, held_out["eng"])
    return {
        "khm bytes/token": khm.bytes_per_token,
        "eng bytes/token": eng.bytes_per_token,
        "khm/eng tokens": khm.num_tokens / eng.num_tokens,
        "khm tokens": khm.num_tokens,
        "khm tokens/cluster": khm.tokens_per_cluster,
        "starts inside a cluster": khm.inside_cluster_frac,
        "starts inside a character": khm.inside_char_frac,
        "sentences changed": khm.num_changed + eng.num_changed,
    }


def cuts_between_words(corpus: dict[str, list[str]], split) -> int:
    """Count words that begin inside a Khmer cluster."""
    wrong = 0
    for said in corpus.values():
        for text in said:
            starts, at = set(), 0
            for word in split(text):
                starts.add(at)
                at += len(word)
            for match in CLUSTERS.finditer(text):
                wrong += sum(place in starts for place in range(match.start() + 1, match.end()))
    return wrong


def round_trip(tokenizer: Tokenizer, data: Path) -> dict[str, int]:
    """Encode and decode every vector and every document of the folder, junk too."""
    sets = {"vectors": normalize_batch(pa.array([*texts.vectors(data)])).to_pylist()}
    documents = [
        text
        for lang in ("khm", "eng")
        for path in texts.files(data, lang)
        for text in texts.read(path)
    ]
    sets["documents"] = documents
    found = {}
    for name, every in sets.items():
        said = [text for text in every if text]
        found[name] = len(said)
        found[f"{name} changed"] = sum(
            cut(tokenizer, said[start : start + 1000]).num_changed
            for start in range(0, len(said), 1000)
        )
    return found
