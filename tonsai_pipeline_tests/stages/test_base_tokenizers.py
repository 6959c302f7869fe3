"""Tokenizers that were taken over: with padding, with Khmer learned, without the tokens that nobody uses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline.tokenizer.baseline import train_gpt2
from tonsai_pipeline.tokenizer.fast_encoders import FAST_ENCODERS
from tonsai_pipeline.tokenizer.pretokenize import split_words_gpt2
from tonsai_pipeline_tests.stages.mixtures import (
    Mixture,
    english_texts,
    khmer_texts,
)
from tonsai_pipeline_tests.stages.trained_tokenizers import (
    tokenizer_mixture,
    train,
    train_files,
)
from tonsai_pipeline_tests.stages.wrong_ids import open_wrong


@pytest.fixture
def mixture() -> Mixture:
    return tokenizer_mixture()


@pytest.fixture
def gpt2_folder(tmp_path: Path) -> Path:
    """A tokenizer as GPT-2's: one special token for everything, words that cut Khmer."""
    texts = english_texts(200, seed=2) + khmer_texts(10, seed=3)
    counts = Counter(word for text in texts for word in split_words_gpt2(text))
    tokenizer = train_gpt2(counts, 700)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    folder = tmp_path / "gpt2"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    role = {"bos_token": "<|endoftext|>", "eos_token": {"content": "<|endoftext|>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(role | {"model_max_length": 77}))
    return folder


def test_an_existing_tokenizer_is_taken_with_padding_added(
    store: Store, mixture: Mixture, engine: Engine, gpt2_folder: Path
) -> None:
    from transformers import AutoTokenizer

    old = Tokenizer.from_file(str(gpt2_folder / "tokenizer.json"))
    artifact = train(store, mixture, engine, TokenizerConfig(base=str(gpt2_folder)))
    tokenizer = AutoTokenizer.from_pretrained(artifact.path)
    assert tokenizer.pad_token_id == old.get_vocab_size()
    assert tokenizer.eos_token_id == tokenizer.bos_token_id == old.token_to_id("<|endoftext|>")
    assert tokenizer.model_max_length == 77
    text = english_texts(1, seed=5)[0]
    assert tokenizer(text)["input_ids"] == old.encode(text).ids
    assert artifact.report["gpt2_fertility"] is None


def test_an_extended_tokenizer_keeps_every_id_and_learns_khmer(
    store: Store, mixture: Mixture, engine: Engine, gpt2_folder: Path
) -> None:
    old = Tokenizer.from_file(str(gpt2_folder / "tokenizer.json"))
    taken = train(store, mixture, engine, TokenizerConfig(base=str(gpt2_folder)))
    config = TokenizerConfig(base=str(gpt2_folder), extend_khmer_tokens=500)
    artifact = train(store, mixture, engine, config)
    new = Tokenizer.from_file(str(artifact.path / "tokenizer.json"))
    assert new.get_vocab().items() >= old.get_vocab().items()
    assert new.get_vocab_size() == old.get_vocab_size() + 500 + 1
    assert sorted(new.get_vocab().values()) == list(range(new.get_vocab_size()))
    for text in english_texts(20, seed=5):
        assert new.encode(text).ids == old.encode(text).ids
    before, after = taken.report["fertility"]["khm"], artifact.report["fertility"]["khm"]
    assert after["num_tokens"] < before["num_tokens"] / 3
    assert after["num_changed"] == 0


def test_a_pruned_tokenizer_keeps_what_the_mixture_uses_and_learns_khmer(
    store: Store, mixture: Mixture, engine: Engine, gpt2_folder: Path
) -> None:
    from transformers import AutoTokenizer

    old = Tokenizer.from_file(str(gpt2_folder / "tokenizer.json"))
    config = TokenizerConfig(base=str(gpt2_folder), keep_base_tokens=600, compare_gpt2=False)
    artifact = train(store, mixture, engine, config)
    new = Tokenizer.from_file(str(artifact.path / "tokenizer.json"))
    assert new.get_vocab_size() == 600  # the padding that the base lacked is among them
    assert new.get_vocab().keys() - old.get_vocab().keys() == {"<|pad|>"}
    counts = Counter(
        token for text in english_texts(150, seed=3) for token in old.encode(text).tokens
    )
    assert new.get_vocab().keys() >= {token for token, _ in counts.most_common(100)}
    assert 0 < artifact.report["dropped_frac"] < 0.05
    opened = AutoTokenizer.from_pretrained(artifact.path)
    text = english_texts(1, seed=5)[0] + khmer_texts(1, seed=5)[0]
    assert opened.decode(opened(text)["input_ids"]) == text
    longer = config.model_copy(update={"extend_khmer_tokens": 200})
    both = train(store, mixture, engine, longer)
    assert both.report["vocab_size"] == 800
    assert both.path != artifact.path
    before, after = (one.report["fertility"]["khm"]["num_tokens"] for one in (artifact, both))
    assert after < before / 2
    assert both.report["fertility"]["eng"] == artifact.report["fertility"]["eng"]


def test_raw_files_prune_a_base_too(tmp_path: Path, engine: Engine, gpt2_folder: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(english_texts(150, seed=3)))
    config = TokenizerConfig(base=str(gpt2_folder), keep_base_tokens=600)
    report = train_files(tmp_path / "out", [tmp_path / "a.txt"], engine, config)
    assert (report.vocab_size, report.gpt2_fertility) == (600, None)


def test_a_part_whose_fast_ids_are_wrong_is_counted_again(
    store: Store,
    mixture: Mixture,
    engine: Engine,
    gpt2_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = TokenizerConfig(base=str(gpt2_folder), keep_base_tokens=600, compare_gpt2=False)
    (tmp_path / "a.txt").write_text("\n".join(english_texts(150, seed=3)))
    right = train(store, mixture, engine, config)
    of_files = train_files(tmp_path / "right", [tmp_path / "a.txt"], engine, config)
    monkeypatch.setitem(FAST_ENCODERS, "gigatoken", open_wrong)
    said = "gigatoken cuts .* is encoded by `tokenizers`"
    with pytest.warns(RuntimeWarning, match=said):
        again = train(store, mixture, engine, config)
    assert again.manifest.files == right.manifest.files
    with pytest.warns(RuntimeWarning, match=said):
        assert train_files(tmp_path / "again", [tmp_path / "a.txt"], engine, config) == of_files


def test_a_base_without_an_end_is_refused(
    store: Store, mixture: Mixture, engine: Engine, gpt2_folder: Path
) -> None:
    (gpt2_folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(DataError, match="names no eos_token"):
        train(store, mixture, engine, TokenizerConfig(base=str(gpt2_folder)))


def test_a_folder_without_a_tokenizer_is_refused(
    store: Store, mixture: Mixture, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"has no tokenizer\.json"):
        train(store, mixture, engine, TokenizerConfig(base=str(tmp_path)))
