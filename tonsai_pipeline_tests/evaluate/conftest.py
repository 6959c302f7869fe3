"""A network of untrained weights with a tokenizer of bytes, as a folder and as a subject."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from tonsai_pipeline.evaluate.subject import Subject, open_subject
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline_tests.train import tiny

SPECIAL = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Context 64, 320 rows of embeddings, 259 tokens."""
    folder = tmp_path_factory.mktemp("evaluated")
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=64, special_ids=SPECIAL, seed=0)
    save_model(model, folder / "m", tokenizer_dir=tiny.write_tokenizer(folder / "t"))
    return folder / "m"


@pytest.fixture(scope="session")
def subject(model_dir: Path) -> Subject:
    return open_subject(str(model_dir))


@pytest.fixture(scope="session")
def wide_subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Context 512, and a tokenizer that puts BOS before a text, as the product's do."""
    folder = tmp_path_factory.mktemp("wide")
    tokenizer_dir = tiny.write_tokenizer(folder / "t")
    tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", tiny.BOS)]
    )
    tokenizer.save(str(tokenizer_dir / "tokenizer.json"))
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=512, special_ids=SPECIAL, seed=0)
    save_model(model, folder / "m", tokenizer_dir=tokenizer_dir)
    return open_subject(str(folder / "m"))
