"""What a base model's maker knew about writing text is kept; the tokenizer's ends are added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, GenerationConfig

from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline_tests.train import tiny

SPECIAL = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    model = build_model(
        tiny.MODEL, vocab_size=tiny.VOCAB_SIZE, seq_len=tiny.SEQ_LEN, special_ids=SPECIAL, seed=0
    )
    tokenizer_dir = tiny.write_tokenizer(tmp_path / "tokenizer")
    save_model(model, tmp_path / "base", tokenizer_dir=tokenizer_dir)
    return tmp_path / "base"


def continued(base: Path, tokenizer_dir: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Go on from the base with some settings, save, and read what was saved."""
    (base / "generation_config.json").write_text(json.dumps(settings))
    model = build_model(
        ModelConfig(base=str(base)),
        vocab_size=tiny.VOCAB_SIZE,
        seq_len=tiny.SEQ_LEN,
        special_ids=SPECIAL,
        seed=0,
        tokenizer_dir=tokenizer_dir,
    )
    folder = base.with_name("continued")
    save_model(model, folder, tokenizer_dir=tokenizer_dir)
    AutoModelForCausalLM.from_pretrained(folder)
    saved = json.loads((folder / "generation_config.json").read_text())
    assert GenerationConfig.from_pretrained(folder).to_diff_dict().items() >= saved.items()
    saved.pop("transformers_version")
    return saved


@pytest.mark.parametrize("sampling", [{}, {"do_sample": True}, {"do_sample": False}])
def test_sampling_and_ends_of_the_base_are_kept(
    base: Path, tmp_path: Path, sampling: dict[str, Any]
) -> None:
    settings = {"eos_token_id": [5, 9], "temperature": 0.6, "top_p": 0.9, **sampling}
    saved = continued(base, tmp_path / "tokenizer", settings)
    ids = {"bos_token_id": tiny.BOS, "eos_token_id": [5, 9, tiny.EOS], "pad_token_id": tiny.PAD}
    assert saved == settings | ids


def test_the_tokenizers_end_is_not_written_twice(base: Path, tmp_path: Path) -> None:
    saved = continued(base, tmp_path / "tokenizer", {"eos_token_id": tiny.EOS, "top_k": 20})
    assert (saved["eos_token_id"], saved["top_k"]) == (tiny.EOS, 20)


def test_ends_move_with_their_tokens_to_another_vocabulary(base: Path, tmp_path: Path) -> None:
    state = json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_text())
    vocab = state["model"]["vocab"]
    tokens = {number: token for token, number in vocab.items()}
    # 5 and 6 change places, and the token of 7 is gone.
    vocab[tokens[5]], vocab[tokens[6]] = 6, 5
    del vocab[tokens[7]]
    other = tmp_path / "other"
    other.mkdir()
    Tokenizer.from_str(json.dumps(state)).save(str(other / "tokenizer.json"))
    for name in ("tokenizer_config.json",):
        (other / name).write_text((tmp_path / "tokenizer" / name).read_text())
    settings = {"eos_token_id": [5, 7], "suppress_tokens": [5], "temperature": 0.6}
    saved = continued(base, other, settings)
    assert saved["eos_token_id"] == [6, tiny.EOS]
    assert "suppress_tokens" not in saved
    assert saved["temperature"] == 0.6


def test_a_new_model_ends_where_its_tokenizer_does(base: Path) -> None:
    saved = json.loads((base / "generation_config.json").read_text())
    assert saved["eos_token_id"] == tiny.EOS
    assert "temperature" not in saved
