"""Recipe sections become the networks they describe, and saved folders open elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import build_model, load_model, num_parameters, save_model
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline_tests.train import tiny

SPECIAL = {"bos": 0, "eos": 1, "pad": 2}


def build(section: ModelConfig, *, vocab_size: int = 320, seq_len: int = 64, seed: int = 0):
    return build_model(
        section, vocab_size=vocab_size, seq_len=seq_len, special_ids=SPECIAL, seed=seed
    )


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    first, second, other = build(tiny.MODEL), build(tiny.MODEL), build(tiny.MODEL, seed=1)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.transformer.wte.weight, other.transformer.wte.weight)


def test_the_starter_kits_model_has_759_905_280_parameters() -> None:
    section = ModelConfig(num_layers=24, hidden_size=1536, num_heads=24)
    with torch.device("meta"):
        assert num_parameters(build(section, vocab_size=50_000, seq_len=2048)) == 759_905_280


def test_a_config_file_gives_the_network_and_the_shards_its_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "gpt2.json"
    path.write_text(
        json.dumps(
            {
                "model_type": "gpt2",
                "vocab_size": 50,
                "n_positions": 128,
                "n_embd": 32,
                "n_layer": 3,
                "n_head": 2,
            }
        )
    )
    model = build(ModelConfig(config_file=path))
    assert model.config.vocab_size == 320
    assert len(model.transformer.h) == 3
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (
        0,
        1,
        2,
    )


def test_a_context_shorter_than_the_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gpt2.json"
    path.write_text(
        json.dumps(
            {"model_type": "gpt2", "n_positions": 32, "n_embd": 32, "n_layer": 1, "n_head": 2}
        )
    )
    with pytest.raises(
        RecipeError, match="context of 32 tokens is shorter than the packed rows of 64"
    ):
        build(ModelConfig(config_file=path))


def test_a_missing_base_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model\.base.*nowhere"):
        build(ModelConfig(base=str(tmp_path / "nowhere")))


def test_a_saved_model_opens_in_transformers_and_gives_the_same_logits(tmp_path: Path) -> None:
    model = build(tiny.MODEL).eval()
    tokenizer_dir = tiny.write_tokenizer(tmp_path / "tokenizer")
    folder = tmp_path / "model"
    save_model(model, folder, tokenizer_dir=tokenizer_dir)
    save_model(model, folder, tokenizer_dir=tokenizer_dir)  # over an old one
    opened = AutoModelForCausalLM.from_pretrained(str(folder)).eval()
    assert opened.config.activation_function == "gelu_new"
    assert model.config.activation_function == "gelu_pytorch_tanh"
    ids = torch.arange(20)[None]
    with torch.no_grad():
        expected = opened(ids).logits
        model.set_attn_implementation("sdpa")
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-5, rtol=1e-5)
    assert len(AutoTokenizer.from_pretrained(str(folder))) == tiny.NUM_REAL
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_continuing_from_a_saved_model_starts_with_its_weights(tmp_path: Path) -> None:
    model = build(tiny.MODEL)
    save_model(
        model, tmp_path / "model", tokenizer_dir=tiny.write_tokenizer(tmp_path / "tokenizer")
    )
    again = build(ModelConfig(base=str(tmp_path / "model")), seed=5)
    assert torch.equal(
        again.transformer.h[1].mlp.c_fc.weight, model.transformer.h[1].mlp.c_fc.weight
    )
    wider = build(ModelConfig(base=str(tmp_path / "model")), vocab_size=384)
    assert wider.config.vocab_size == 384
    assert torch.equal(wider.transformer.wte.weight[:320], model.transformer.wte.weight)


def test_an_opened_model_refuses_to_run_without_borders(tmp_path: Path) -> None:
    save_model(
        build(tiny.MODEL), tmp_path / "model", tokenizer_dir=tiny.write_tokenizer(tmp_path / "tok")
    )
    with pytest.raises(ValueError, match="borders"):
        load_model(tmp_path / "model")(torch.zeros(1, 4, dtype=torch.long))
