"""AutoTokenizer reads every tokenizer as it was made, whatever class its base names and whatever model lies beside it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.auto_tokenizer import make_auto_tokenizer_agree, prove_auto_tokenizer
from tonsai_pipeline.stages.train_tokenizer.base_tokenizer import load_base
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.alphabet import BYTE_CHARS
from tonsai_pipeline.tokenizer.assemble import tokenizer_files
from tonsai_pipeline.tokenizer.baseline import train_gpt2
from tonsai_pipeline.tokenizer.extend import extend_tokenizer
from tonsai_pipeline.tokenizer.pretokenize import (
    QWEN2_PATTERN,
    split_words,
    split_words_gpt2,
)
from tonsai_pipeline_tests.stages.mixtures import english_texts, khmer_texts

TEXTS = english_texts(20, seed=2) + khmer_texts(20, seed=3)
#: Every family that is trained, and those whose AutoTokenizer ignores `tokenizer_class` (qwen2, phi3, nemotron).
MODEL_TYPES = [
    *(
        "gpt2",
        "llama",
        "qwen2",
        "qwen3",
        "mistral",
        "gemma3_text",
        "phi3",
        "olmo2",
        "smollm3",
        "opt",
    ),
    *("gpt_neox", "granite", "cohere", "gpt_oss", "qwen3_moe", "qwen2_moe", "nemotron"),
]


def qwen2_like() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(BYTE_CHARS)}, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def gpt2_like() -> Tokenizer:
    return train_gpt2(Counter(w for text in TEXTS for w in split_words_gpt2(text)), 700)


def smollm_like() -> Tokenizer:
    tokenizer = gpt2_like()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    return tokenizer


BASES = {
    "Qwen2Tokenizer": qwen2_like,
    "Qwen2TokenizerFast": qwen2_like,
    "GPT2Tokenizer": gpt2_like,
    "GPT2TokenizerFast": smollm_like,
    "LlamaTokenizer": qwen2_like,
    "GemmaTokenizerFast": gpt2_like,
    "CohereTokenizerFast": smollm_like,
}


def save_base(folder: Path, name: str) -> Path:
    folder.mkdir()
    tokenizer = BASES[name]()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": name,
        "eos_token": "<|endoftext|>",
        "add_prefix_space": True,
        "add_bos_token": True,
        "split_special_tokens": True,
        "model_max_length": 77,
        "added_tokens_decoder": {},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def write_taken(base: Path, folder: Path, num_new_tokens: int) -> Path:
    taken = load_base(str(base))
    tokenizer = taken.tokenizer
    if num_new_tokens:
        words = Counter(word for text in TEXTS for word in split_words(text))
        tokenizer = extend_tokenizer(tokenizer, words, num_new_tokens)
    files = tokenizer_files(
        tokenizer,
        NormalizeOptions(),
        bos=taken.bos,
        eos=taken.eos,
        pad=taken.pad,
        config=taken.config,
        chat_template=None,
    )
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("num_new_tokens", [0, 300])
@pytest.mark.parametrize("name", BASES)
def test_a_taken_or_extended_tokenizer_opens_as_it_is(
    tmp_path: Path, name: str, num_new_tokens: int
) -> None:
    folder = write_taken(save_base(tmp_path / "base", name), tmp_path / "taken", num_new_tokens)
    assert prove_auto_tokenizer(folder, TEXTS) > len(TEXTS)
    opened = AutoTokenizer.from_pretrained(folder)
    assert opened.model_max_length == 77


@pytest.mark.parametrize("name", ["Qwen2Tokenizer", "GPT2Tokenizer"])
def test_a_class_that_rebuilds_the_tokenizer_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_taken(save_base(tmp_path / "base", name), tmp_path / "taken", 300)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": name}))
    with pytest.raises(DataError, match=rf"AutoTokenizer \({name}\) cuts .* into"):
        prove_auto_tokenizer(folder, TEXTS)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_model_beside_it_changes_nothing(tmp_path: Path, model_type: str) -> None:
    folder = write_taken(save_base(tmp_path / "base", "Qwen2Tokenizer"), tmp_path / "model", 300)
    AutoConfig.for_model(model_type).save_pretrained(folder)
    make_auto_tokenizer_agree(folder)
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for trusted in (False, True):
        auto = AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted)
        for text in TEXTS:
            assert auto(text, add_special_tokens=False)["input_ids"] == plain.encode(text).ids
    assert prove_auto_tokenizer(folder, TEXTS) > len(TEXTS)


def test_a_folder_that_does_not_open_is_refused(tmp_path: Path) -> None:
    folder = write_taken(save_base(tmp_path / "base", "GPT2Tokenizer"), tmp_path / "taken", 0)
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(DataError, match="AutoTokenizer cannot open it"):
        prove_auto_tokenizer(folder)
