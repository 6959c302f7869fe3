"""Real text, normalized, by language and file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tonsai_pipeline.text import normalize_batch

EVALUATION = "ntrex128"
JUNK = "junk_"


def files(data: Path, lang: str) -> list[Path]:
    return sorted((data / lang).glob("*.jsonl.gz"))


def read_texts(path: Path) -> list[str]:
    """Return the texts of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in stream]


def read(path: Path) -> list[str]:
    """Return the normalized texts of a gzipped JSONL file."""
    return normalize_batch(pa.array(read_texts(path), pa.large_string())).to_pylist()


def training(data: Path) -> dict[str, list[str]]:
    """Return the texts of each language without the evaluation set and without junk."""
    return {
        lang: [
            text
            for path in files(data, lang)
            if not path.name.startswith((JUNK, EVALUATION))
            for text in read(path)
        ]
        for lang in ("khm", "eng")
    }


def parallel(data: Path) -> dict[str, list[str]]:
    """Return the evaluation set: sentence i of one language says what sentence i of the other does."""
    return {lang: read(data / lang / f"{EVALUATION}.jsonl.gz") for lang in ("khm", "eng")}


def vectors(data: Path) -> Iterator[str]:
    """Yield the strings of the normalization vectors, wrong and right, as they stand there."""
    for path in sorted((data / "vectors").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            for name in ("wrong", "right", "word"):
                if isinstance(entry.get(name), str):
                    yield entry[name]
