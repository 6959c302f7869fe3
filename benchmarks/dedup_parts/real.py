"""Real text, normalized: what the kernels are raced on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa

from dedup_parts import kernels as races
from tonsai_pipeline.text import normalize_batch_report


def kernels(data: Path, work: Path) -> dict[str, dict[str, float]]:
    """Race on all Khmer, then on all English."""
    del work
    return {lang: races.race(normalized_texts(data, lang)) for lang in ("khm", "eng")}


def normalized_texts(data: Path, lang: str) -> pa.LargeStringArray:
    """Return every text of a language, normalized; the legacy-font file is no Khmer and is left out."""
    texts = [
        text
        for path in sorted((data / lang).glob("*.jsonl.gz"))
        if "legacy_font" not in path.name
        for text in read_texts(path)
    ]
    return normalize_batch_report(pa.array(texts, pa.large_string()))[0]


def read_texts(path: Path) -> list[str]:
    """Return the texts of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in stream]
