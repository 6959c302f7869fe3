"""Samples see normalized prompts and are the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.build import build_model, load_model, save_model
from tonsai_pipeline.model.samples import continue_text, open_tokenizer, write_samples
from tonsai_pipeline.recipe.evaluate import GenerationConfig
from tonsai_pipeline_tests.train import tiny

#: A vowel typed before its coeng: the order a keyboard gives, not the one Unicode asks for.
TYPED, STORED = "\u1780\u17b6\u17d2\u179a", "\u1780\u17d2\u179a\u17b6"


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    special = {"bos": 0, "eos": 1, "pad": 2}
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    save_model(model, folder / "m", tokenizer_dir=tiny.write_tokenizer(folder / "t"))
    return folder / "m"


def test_prompts_are_normalized_and_samples_repeatable(model_dir: Path) -> None:
    model, tokenizer = load_model(model_dir), open_tokenizer(model_dir)
    section = GenerationConfig(max_new_tokens=10, num_samples=2)
    prompts = {"khm": (TYPED,), "eng": ("a", "b")}
    samples = write_samples(model, tokenizer, prompts, section)
    assert [s.language for s in samples] == ["khm", "khm", "eng", "eng", "eng", "eng"]
    assert samples[0].prompt == STORED
    assert samples[0].text != samples[1].text
    assert all(s.num_tokens <= 10 and (s.ended or s.num_tokens == 10) for s in samples)
    assert samples == write_samples(model, tokenizer, prompts, section)


def test_a_byte_level_model_is_asked_how_much_it_broke(model_dir: Path) -> None:
    model, tokenizer = load_model(model_dir), open_tokenizer(model_dir)
    section = GenerationConfig(max_new_tokens=40, temperature=2.0, top_p=1.0)
    (sample,) = write_samples(model, tokenizer, {"eng": ("a",)}, section)
    assert 0.0 < sample.broken_frac <= 1.0  # random bytes are rarely UTF-8


def test_one_call_continues_a_text(model_dir: Path) -> None:
    def write(seed: int) -> str:
        return continue_text(
            model_dir, "a", max_new_tokens=8, temperature=1.0, top_p=1.0, seed=seed
        )

    assert write(0) == write(0) != write(1)
    with pytest.raises(DataError, match="prompt of 101 tokens"):
        continue_text(model_dir, "a" * 100, max_new_tokens=8, temperature=1.0, top_p=1.0, seed=0)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tokenizer"):
        open_tokenizer(tmp_path)
