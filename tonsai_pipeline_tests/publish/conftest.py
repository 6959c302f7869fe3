"""Model folders of a few kinds with a tokenizer of ours whose vocabulary is no multiple of 128."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, Qwen2Config

from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.alphabet import AlphabetName
from tonsai_pipeline.tokenizer.assemble import (
    INFO_NAME,
    build_tokenizer,
    parse_info,
    special_tokens,
    tokenizer_files,
)
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.pretokenize import split_words
from tonsai_pipeline_tests.stages.mixtures import english_texts, khmer_texts

VOCAB_SIZE, PADDED = 1400, 1408
SPECIAL = {"bos": 0, "eos": 1, "pad": 2}
SIZES = {
    "vocab_size": PADDED,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
KINDS = ("gpt2", "llama", "llama_biased", "qwen2", "qwen3")


def write_tokenizer(folder: Path, alphabet: AlphabetName = "byte") -> Path:
    texts = english_texts(200, seed=1) + khmer_texts(200, seed=2)
    words = Counter(word for text in texts for word in split_words(text))
    specials = special_tokens(3)
    options = BpeOptions(vocab_size=VOCAB_SIZE, alphabet=alphabet)
    model = train_bpe(words, options, special_tokens=specials)
    folder.mkdir()
    tokenizer = build_tokenizer(model, specials, NormalizeOptions())
    for name, data in tokenizer_files(tokenizer, NormalizeOptions()).items():
        (folder / name).write_bytes(data)
    return folder


def write_model(folder: Path, kind: str, tokenizer_dir: Path) -> Path:
    rows = parse_info((tokenizer_dir / INFO_NAME).read_bytes()).padded_vocab_size
    if kind in ("gpt2", "qwen3"):
        section = ModelConfig(
            architecture="gpt2" if kind == "gpt2" else "qwen3",
            num_layers=2,
            hidden_size=64,
            num_heads=4,
            num_kv_heads=None if kind == "gpt2" else 2,
        )
        model = build_model(section, vocab_size=rows, seq_len=256, special_ids=SPECIAL, seed=0)
    else:
        configs: dict[str, PretrainedConfig] = {
            "llama": LlamaConfig(**SIZES, rope_theta=50_000.0),
            "llama_biased": LlamaConfig(**SIZES, attention_bias=True),
            "qwen2": Qwen2Config(**SIZES),
        }
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(configs[kind])
    with torch.no_grad():
        for parameter in model.parameters():
            # Sharp enough that rounding does not decide which token is the likeliest; biases that are not zero.
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.dim() > 1 else 0.02))
    save_model(model, folder, tokenizer_dir=tokenizer_dir)
    return folder


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("published") / "tokenizer")


@pytest.fixture(scope="session")
def model_dir(
    tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function from a kind of network to its folder, made once."""
    folder = tmp_path_factory.mktemp("models")

    def find(kind: str) -> Path:
        place = folder / kind
        return place if place.is_dir() else write_model(place, kind, tokenizer_dir)

    return find
