"""Tokenizers of raw text files and saved datasets."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.stages.train_tokenizer.stage import train_tokenizer_files
from tonsai_pipeline.tokenizer.pretokenize import split_words
from tonsai_pipeline_tests.stages.mixtures import (
    english_texts,
    khmer_texts,
)
from tonsai_pipeline_tests.stages.trained_tokenizers import (
    CONFIG,
    train_files,
)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    lines = khmer_texts(400, seed=1, mean_words=200) + english_texts(900, seed=2, mean_words=150)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_raw_files_give_a_tokenizer_and_a_report(
    tmp_path: Path, text_file: Path, engine: Engine
) -> None:
    report = train_files(tmp_path / "out", [text_file], engine)
    assert report.fertility["khm"]["num_bytes"] > 10_000
    assert report.fertility["khm"]["num_changed"] == 0
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 1400


def test_a_file_cut_into_stretches_counts_every_line_once(
    tmp_path: Path, text_file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonsai_pipeline.stages.train_tokenizer import count_files

    monkeypatch.setattr(count_files, "_HOLD_OUT_EVERY", 10**9)
    whole = train_files(tmp_path / "whole", [text_file], engine)
    monkeypatch.setattr(count_files, "_STRETCH_BYTES", 150_001)
    pieces = train_files(tmp_path / "pieces", [text_file], engine)
    assert (pieces.num_words, pieces.digest) == (whole.num_words, whole.digest)


def test_a_saved_dataset_trains_the_same_tokenizer_as_its_text(
    tmp_path: Path, engine: Engine
) -> None:
    import datasets

    texts = khmer_texts(60, seed=1) + english_texts(60, seed=2)
    datasets.Dataset.from_dict({"body": texts}).save_to_disk(tmp_path / "saved")
    report = train_tokenizer_files(
        [tmp_path / "saved"],
        tmp_path / "out",
        config=CONFIG,
        normalize=NormalizeConfig(),
        engine=engine,
        text_column="body",
    )
    expected = sum(len(split_words(text)) for text in texts)
    assert report.num_words == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "no such file"),
        ("latin.txt", b"caf\xe9 au lait\n", "not UTF-8 after byte 0"),
        ("empty.txt", b"", "no words to train a tokenizer on"),
    ],
)
def test_an_unusable_file_is_refused_by_name(
    tmp_path: Path, engine: Engine, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        train_files(tmp_path / "out", [tmp_path / name], engine)
