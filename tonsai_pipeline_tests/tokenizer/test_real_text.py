"""A tokenizer trained on a sample of real text: every vector and the documents of every file come back."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.text import NormalizeOptions, normalize_batch
from tonsai_pipeline.tokenizer.assemble import build_tokenizer, special_tokens
from tonsai_pipeline.tokenizer.bpe import AlphabetName, BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.fertility import measure
from tonsai_pipeline.tokenizer.pretokenize import CLUSTERS, split_words

#: Of every file, spread over it; `python -m benchmarks.tokenize_pack` takes all of them.
DOCUMENTS_A_FILE = 60
LONGEST_CHARS = 8000


@pytest.fixture(scope="module")
def documents(real_data: Path) -> dict[str, list[str]]:
    found = {}
    for path in sorted(real_data.glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            texts = [json.loads(line)["text"][:LONGEST_CHARS] for line in stream]
        chosen = texts[:: -(-len(texts) // DOCUMENTS_A_FILE)]
        normal = normalize_batch(pa.array(chosen, pa.large_string())).to_pylist()
        found[f"{path.parent.name}/{path.name}"] = [text for text in normal if text]
    assert found, f"no */*.jsonl.gz in {real_data}"
    return found


@pytest.fixture(scope="module")
def vectors(real_data: Path) -> list[str]:
    entries = [
        json.loads(line)
        for path in sorted((real_data / "vectors").glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    texts = [
        entry[name]
        for entry in entries
        for name in ("wrong", "right", "word")
        if isinstance(entry.get(name), str)
    ]
    assert len(texts) > 1500
    return [
        text for text in normalize_batch(pa.array(texts, pa.large_string())).to_pylist() if text
    ]


@pytest.fixture(scope="module", params=["byte", "char"])
def tokenizer(request: pytest.FixtureRequest, documents: dict[str, list[str]]) -> Tokenizer:
    alphabet: AlphabetName = request.param
    words: Counter[str] = Counter()
    for name, texts in documents.items():
        if "ntrex128" not in name:
            for text in texts:
                words.update(split_words(text))
    options = BpeOptions(vocab_size=6000, alphabet=alphabet)
    specials = special_tokens(3)
    model = train_bpe(words, options, special_tokens=specials)
    return build_tokenizer(model, specials, NormalizeOptions())


def test_every_vector_comes_back_after_normalization(
    tokenizer: Tokenizer, vectors: list[str]
) -> None:
    assert measure(tokenizer, vectors).num_changed == 0


def test_documents_of_every_file_come_back_after_normalization(
    tokenizer: Tokenizer, documents: dict[str, list[str]]
) -> None:
    changed = {name: measure(tokenizer, texts).num_changed for name, texts in documents.items()}
    assert {name: number for name, number in changed.items() if number} == {}


def test_no_word_of_real_text_begins_inside_a_cluster(documents: dict[str, list[str]]) -> None:
    for texts in documents.values():
        for text in texts:
            starts, at = set(), 0
            for word in split_words(text):
                starts.add(at)
                at += len(word)
            for match in CLUSTERS.finditer(text):
                assert starts.isdisjoint(range(match.start() + 1, match.end()))
