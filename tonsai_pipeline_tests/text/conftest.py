"""Real text for the tests of this package, read once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_records(real_data: Path) -> dict[str, list[dict[str, str]]]:
    """Records by file, such as `khm/news`."""
    files = sorted(real_data.glob("*/*.jsonl.gz"))
    assert files, f"no */*.jsonl.gz in {real_data}"
    records = {}
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            name = f"{file.parent.name}/{file.name.removesuffix('.jsonl.gz')}"
            records[name] = [json.loads(line) for line in lines]
    return records


@pytest.fixture(scope="session")
def real_text(real_records: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    """Texts by file."""
    return {name: [row["text"] for row in rows] for name, rows in real_records.items()}
