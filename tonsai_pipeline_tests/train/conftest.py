"""Shards and tokenizer of `tiny.py`, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline_tests.train import tiny


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/` and `tokenizer/`."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.write_shards(folder / "shards")
    tiny.write_tokenizer(folder / "tokenizer")
    return folder
