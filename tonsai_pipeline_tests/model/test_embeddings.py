"""Rows of new tokens are the means of their pieces, in both layers, and old rows stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.model.embeddings import grow_embeddings, new_token_pieces, pieces_of
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline_tests.train import continued, tiny

PAIRS = range(tiny.NUM_REAL, tiny.NUM_REAL + continued.NUM_PAIRS)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tokenizers")
    old = tiny.write_tokenizer(folder / "old")
    return old, continued.extend(folder / "new", old)


def build(*, tied: bool):
    section = ModelConfig(num_layers=1, hidden_size=16, num_heads=2, tie_embeddings=tied)
    special = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
    return build_model(section, vocab_size=320, seq_len=32, special_ids=special, seed=0)


def test_each_new_token_is_cut_into_tokens_of_the_base(tokenizers: tuple[Path, Path]) -> None:
    found = new_token_pieces(str(tokenizers[0]), None, tokenizers[1])
    assert found == {
        tiny.NUM_REAL + pair: [continued.FIRST_PAIR + 2 * pair + side for side in (0, 1)]
        for pair in range(continued.NUM_PAIRS)
    }
    assert new_token_pieces(str(tokenizers[0]), None, tokenizers[0]) == {}


def test_a_token_that_moved_is_its_own_piece(tokenizers: tuple[Path, Path]) -> None:
    old, new = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in tokenizers)
    back = pieces_of(new, old)
    assert back == {}  # the old one has nothing that the new one does not have at the same place
    state = json.loads(old.to_str())
    vocab = state["model"]["vocab"]
    vocab["!"], vocab['"'] = vocab['"'], vocab["!"]
    swapped = Tokenizer.from_str(json.dumps(state))
    assert pieces_of(old, swapped) == {3: [4], 4: [3]}


@pytest.mark.parametrize("tied", [True, False])
def test_rows_are_means_of_pieces_in_every_layer_and_old_rows_stay(
    tokenizers: tuple[Path, Path], tied: bool
) -> None:
    model = build(tied=tied)
    layers = ("get_input_embeddings", "get_output_embeddings")
    before = [getattr(model, name)().weight.detach().clone() for name in layers]
    pieces = new_token_pieces(str(tokenizers[0]), None, tokenizers[1])
    grow_embeddings(model, pieces, continued.VOCAB_SIZE, method="subword_mean", seed=0)
    for name, old in zip(layers, before, strict=True):
        weight = getattr(model, name)().weight
        assert len(weight) == continued.VOCAB_SIZE
        assert torch.equal(weight[: tiny.NUM_REAL], old[: tiny.NUM_REAL])
        for token in PAIRS:
            assert torch.equal(weight[token], old[pieces[token]].mean(0))
        assert torch.allclose(weight[-1], old.mean(0))
    inputs, outputs = (getattr(model, name)().weight for name in layers)
    same = inputs is outputs
    assert same == tied
    assert model.config.vocab_size == continued.VOCAB_SIZE


def test_random_rows_follow_the_seed(tokenizers: tuple[Path, Path]) -> None:
    pieces = new_token_pieces(str(tokenizers[0]), None, tokenizers[1])
    rows = []
    for seed in (0, 0, 1):
        model = build(tied=True)
        grow_embeddings(model, pieces, continued.VOCAB_SIZE, method="random", seed=seed)
        weight = model.get_parameter("transformer.wte.weight")
        rows.append(weight[PAIRS.start : PAIRS.stop])
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_a_base_without_its_tokenizer_is_refused(
    tokenizers: tuple[Path, Path], tmp_path: Path
) -> None:
    save_model(build(tied=True), tmp_path / "base", tokenizer_dir=tokenizers[0])
    for path in (tmp_path / "base").glob("*token*"):
        path.unlink()
    with pytest.raises(RecipeError, match=r"model\.base: .*save the tokenizer beside the model"):
        new_token_pieces(str(tmp_path / "base"), None, tokenizers[1])
