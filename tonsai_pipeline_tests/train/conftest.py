"""Shards and tokenizer of `tiny.py`, written once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tonsai_pipeline_tests.train import tiny


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/` and `tokenizer/`."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.write_shards(folder / "shards")
    tiny.write_tokenizer(folder / "tokenizer")
    return folder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny networks gain nothing from threads, and lose much where other work holds the cores."""
    torch.set_num_threads(1)
