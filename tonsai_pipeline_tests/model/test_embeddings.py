"""Rows of new tokens are the means of their pieces, in both layers; old rows stay as they are, or go where their token went."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.model.embeddings import compare_tokens, fit_embeddings, map_tokens
from tonsai_pipeline.model.opened import num_rows
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.tokenizer.prune import prune_tokenizer
from tonsai_pipeline.train.base_model import BaseReader
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
    found = map_tokens(str(tokenizers[0]), None, tokenizers[1])
    assert found.pieces == {
        tiny.NUM_REAL + pair: [continued.FIRST_PAIR + 2 * pair + side for side in (0, 1)]
        for pair in range(continued.NUM_PAIRS)
    }
    assert found.new_ids == found.pieces.keys()
    assert (found.num_tokens, found.is_pruned) == (PAIRS.stop, False)
    assert map_tokens(str(tokenizers[0]), None, tokenizers[0]).pieces == {}


def test_a_token_that_moved_is_its_own_piece(tokenizers: tuple[Path, Path]) -> None:
    old, new = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in tokenizers)
    back = compare_tokens(new, old)
    assert (
        back.pieces == {}
    )  # the old one has nothing that the new one does not have at the same place
    assert back.is_pruned
    state = json.loads(old.to_str())
    vocab = state["model"]["vocab"]
    vocab["!"], vocab['"'] = vocab['"'], vocab["!"]
    swapped = Tokenizer.from_str(json.dumps(state))
    moved = compare_tokens(old, swapped)
    assert moved.pieces == {3: [4], 4: [3]}
    assert not moved.new_ids


@pytest.mark.parametrize("tied", [True, False])
def test_rows_are_means_of_pieces_in_every_layer_and_old_rows_stay(
    tokenizers: tuple[Path, Path], tied: bool
) -> None:
    model = build(tied=tied)
    layers = ("get_input_embeddings", "get_output_embeddings")
    before = [getattr(model, name)().weight.detach().clone() for name in layers]
    tokens = map_tokens(str(tokenizers[0]), None, tokenizers[1])
    fit_embeddings(model, tokens, continued.VOCAB_SIZE, method="subword_mean", seed=0)
    for name, old in zip(layers, before, strict=True):
        weight = getattr(model, name)().weight
        assert len(weight) == continued.VOCAB_SIZE
        assert torch.equal(weight[: tiny.NUM_REAL], old[: tiny.NUM_REAL])
        for token in PAIRS:
            assert torch.equal(weight[token], old[tokens.pieces[token]].mean(0))
        assert torch.allclose(weight[-1], old.mean(0))
    inputs, outputs = (getattr(model, name)().weight for name in layers)
    same = inputs is outputs
    assert same == tied
    assert model.config.vocab_size == continued.VOCAB_SIZE


def test_random_rows_follow_the_seed(tokenizers: tuple[Path, Path]) -> None:
    tokens = map_tokens(str(tokenizers[0]), None, tokenizers[1])
    rows = []
    for seed in (0, 0, 1):
        model = build(tied=True)
        fit_embeddings(model, tokens, continued.VOCAB_SIZE, method="random", seed=seed)
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
        map_tokens(str(tmp_path / "base"), None, tokenizers[1])


NUM_KEPT, PRUNED_ROWS = 288, 292
#: Of pairs that are left and of pairs that are gone.
TEXT = "".join(map(chr, range(32)))


@pytest.fixture
def pruned(tokenizers: tuple[Path, Path], tmp_path: Path) -> Path:
    """The extended tokenizer without the first of its pairs, and with a word that it never had."""
    base = Tokenizer.from_file(str(tokenizers[1] / "tokenizer.json"))
    counts = {str(base.id_to_token(pair)): pair for pair in PAIRS}
    state = json.loads(prune_tokenizer(base, counts, NUM_KEPT).to_str())
    last, other = (str(base.id_to_token(PAIRS.stop - place)) for place in (1, 2))
    state["model"]["merges"].append([last, other])
    state["model"]["vocab"][last + other] = NUM_KEPT
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
    ).save_pretrained(str(tmp_path / "pruned"))
    return tmp_path / "pruned"


@pytest.mark.parametrize("method", ["subword_mean", "random"])
@pytest.mark.parametrize("tied", [True, False])
def test_without_dropped_tokens_the_network_is_smaller_and_says_the_same(
    tokenizers: tuple[Path, Path], pruned: Path, tmp_path: Path, tied: bool, method: str
) -> None:
    base = build(tied=tied)
    fit_embeddings(
        base,
        map_tokens(str(tokenizers[0]), None, tokenizers[1]),
        continued.VOCAB_SIZE,
        method="subword_mean",
        seed=0,
    )
    save_model(base, tmp_path / "base", tokenizer_dir=tokenizers[1])
    section = ModelConfig.model_validate({"base": str(tmp_path / "base"), "new_embeddings": method})
    special = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
    model = build_model(
        section,
        vocab_size=PRUNED_ROWS,
        seq_len=32,
        special_ids=special,
        seed=0,
        tokenizer_dir=pruned,
    )
    save_model(model, tmp_path / "model", tokenizer_dir=pruned)
    small = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert small.config.vocab_size == PRUNED_ROWS
    layers = (small.get_input_embeddings(), small.get_output_embeddings())
    assert [num_rows(layer) for layer in layers] == [PRUNED_ROWS] * 2
    tokens = map_tokens(str(tokenizers[1]), None, pruned)
    assert tokens.is_pruned
    assert tokens.new_ids == {NUM_KEPT}
    old = [tokens.pieces.get(number, [number])[0] for number in range(NUM_KEPT)]
    assert sorted(set(old)) == old
    assert old[-1] == PAIRS.stop - 1
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    assert ids.max() > tiny.NUM_REAL
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "base").eval()
    theirs = before(torch.tensor(old)[ids]).logits[..., old]
    assert torch.allclose(small.eval()(ids).logits[..., :NUM_KEPT], theirs, atol=1e-5)


def test_the_base_reads_text_of_other_tokens_as_its_own_tokenizer_cuts_it(
    tokenizers: tuple[Path, Path], pruned: Path
) -> None:
    base, ours = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in (tokenizers[1], pruned))
    read = BaseReader(base, ours)
    text = f"{TEXT}\u1780{TEXT}\u17b6"
    ids = [tiny.BOS, *ours.encode(text).ids, tiny.EOS]
    expected = [tiny.BOS, *base.encode(text).ids, tiny.EOS]
    assert len(ids) > len(expected)
    assert read(np.array(ids)).tolist() == expected
    # From any token to any other, inside characters too: the same bytes are predicted.
    for start in range(len(ids) - 1):
        for stop in range(start + 2, len(ids)):
            found = [str(base.id_to_token(number)) for number in read(np.array(ids[start:stop]))]
            given = [str(ours.id_to_token(number)) for number in ids[start:stop]]
            assert "".join(found[1:]) == "".join(given[1:])
            assert given[0].endswith(found[0])
