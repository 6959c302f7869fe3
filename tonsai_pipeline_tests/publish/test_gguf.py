"""A GGUF file: the network's numbers where llama.cpp looks for them, the tokenizer's ids, or a refusal by name."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import typer
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from typer.testing import CliRunner

from tonsai_pipeline.cli.export import export
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.publish.gguf_file import export_gguf
from tonsai_pipeline.publish.gguf_network import network_of
from tonsai_pipeline.publish.gguf_vocabulary import rebuild
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.assemble import BOS, EOS, PAD, tokenizer_files
from tonsai_pipeline.tokenizer.extend import extend_tokenizer
from tonsai_pipeline.tokenizer.pretokenize import split_words
from tonsai_pipeline_tests.model.test_auto_tokenizer import gpt2_like, qwen2_like
from tonsai_pipeline_tests.publish.conftest import (
    KINDS,
    VOCAB_SIZE,
    write_model,
    write_tokenizer,
)
from tonsai_pipeline_tests.stages.mixtures import english_texts, khmer_texts

TEXTS = khmer_texts(20, seed=7) + english_texts(20, seed=8)


def tensors_of(path: Path) -> dict[str, np.ndarray]:
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(path).tensors
    }


def fields_of(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_in_the_file_and_rows_without_a_token_are_not(
    tmp_path: Path, model_dir: Callable[[str], Path], kind: str
) -> None:
    folder = model_dir(kind)
    report = export_gguf(folder, tmp_path / "model.gguf", dtype="f32", texts=TEXTS)
    written = tensors_of(tmp_path / "model.gguf")
    saved = load_file(folder / "model.safetensors")
    assert len(written) == len(saved) == report.num_tensors
    assert report.num_texts > len(TEXTS)
    cut = {
        name: array[:VOCAB_SIZE]
        if name.endswith(("wte.weight", "embed_tokens.weight", "lm_head.weight"))
        else array
        for name, array in saved.items()
    }
    assert sum(array.size for array in written.values()) == sum(a.size for a in cut.values())
    total = sum(float(np.abs(array).sum(dtype=np.float64)) for array in written.values())
    expected = sum(float(np.abs(array).sum(dtype=np.float64)) for array in cut.values())
    assert total == pytest.approx(expected, rel=1e-9)
    assert written["token_embd.weight"].shape == (VOCAB_SIZE, 64)


def test_llama_turns_pairs_where_transformers_turns_halves(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    folder = model_dir("llama")
    export_gguf(folder, tmp_path / "model.gguf", dtype="f32")
    written, saved = tensors_of(tmp_path / "model.gguf"), load_file(folder / "model.safetensors")
    inputs = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    angles = 3.0 * 50_000.0 ** -(np.arange(8) / 8)
    for name, num_heads in (("q", 4), ("k", 2)):
        halves = saved[f"model.layers.1.self_attn.{name}_proj.weight"] @ inputs
        pairs = written[f"blk.1.attn_{name}.weight"] @ inputs
        left, right = halves.reshape(num_heads, 2, 8).swapaxes(0, 1)
        even, odd = pairs.reshape(num_heads, 8, 2).transpose(2, 0, 1)
        np.testing.assert_allclose(
            left * np.cos(angles) - right * np.sin(angles),
            even * np.cos(angles) - odd * np.sin(angles),
            rtol=1e-4,
            atol=1e-5,
        )
        np.testing.assert_allclose(right, odd, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "error"), [("f16", 1e-3), ("bf16", 1e-2), ("q8_0", 5e-3)])
def test_smaller_types_are_near_and_vectors_stay_exact(
    tmp_path: Path, model_dir: Callable[[str], Path], dtype: Any, error: float
) -> None:
    folder = model_dir("gpt2")
    whole = export_gguf(folder, tmp_path / "whole.gguf", dtype="f32")
    small = export_gguf(folder, tmp_path / "small.gguf", dtype=dtype)
    assert small.num_bytes < 0.75 * whole.num_bytes
    expected, written = tensors_of(tmp_path / "whole.gguf"), tensors_of(tmp_path / "small.gguf")
    assert expected.keys() == written.keys()
    changed = 0
    for name, array in expected.items():
        exact = array.ndim == 1 or name == "position_embd.weight"
        difference = np.abs(array - written[name]).max()
        changed += difference > 0
        assert difference <= (0 if exact else error * np.abs(array).max()), name
    assert changed > 0


def test_what_llama_cpp_reads_beside_the_numbers(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    folder = shutil.copytree(model_dir("qwen3"), tmp_path / "model")
    settings = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 4]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    export_gguf(folder, tmp_path / "model.gguf", dtype="q8_0")
    fields = fields_of(tmp_path / "model.gguf")
    assert fields["tokenizer.ggml.pre"] == "qwen35"
    assert [fields[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "eot")] == [
        0,
        1,
        4,
    ]
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert fields["tokenizer.ggml.token_type"][:9] == [3] * 8 + [1]
    template = fields["tokenizer.chat_template"]
    assert "bos_token" in template
    assert "generation %}" not in template
    assert "Replace" in fields["tonsai.normalizer"]
    assert fields["general.sampling.temp"] == pytest.approx(0.6)
    assert fields["qwen3.rope.freq_base"] == 10_000.0
    assert fields["qwen3.attention.head_count_kv"] == 2


def test_a_file_without_the_ids_of_the_tokenizer_gets_no_name(
    tmp_path: Path, model_dir: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        gguf.GGUFWriter,
        "add_tokenizer_pre",
        lambda self, _: self.add_string("tokenizer.ggml.pre", "gpt-2"),
    )
    with pytest.raises(DataError, match=r"has other ids than with tokenizer\.json"):
        export_gguf(model_dir("gpt2"), tmp_path / "model.gguf", texts=TEXTS)
    assert not (tmp_path / "model.gguf").exists()


def test_the_rebuilt_tokenizer_knows_its_special_tokens(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    export_gguf(model_dir("gpt2"), tmp_path / "model.gguf")
    assert rebuild(tmp_path / "model.gguf").encode("<|im_start|>a<|bos|>").ids[::2] == [3, 0]


def test_khmer_added_to_another_tokenizer_is_refused(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    folder = shutil.copytree(model_dir("gpt2"), tmp_path / "model")
    words = Counter(word for text in khmer_texts(50, seed=9) for word in split_words(text))
    old = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for name, data in tokenizer_files(extend_tokenizer(old, words, 20), NormalizeOptions()).items():
        (folder / name).write_bytes(data)
    with pytest.raises(DataError, match="knows no pre-tokenizer that cuts words like this"):
        export_gguf(folder, tmp_path / "model.gguf")


def test_khmer_added_with_joined_marks_is_written(tmp_path: Path) -> None:
    old = qwen2_like()
    old.add_special_tokens([BOS, EOS, PAD])
    words = Counter(word for text in khmer_texts(50, seed=9) for word in split_words(text))
    new = extend_tokenizer(old, words, 60, join_marks=True)
    (tmp_path / "tokenizer").mkdir()
    for name, data in tokenizer_files(new, NormalizeOptions()).items():
        (tmp_path / "tokenizer" / name).write_bytes(data)
    folder = write_model(tmp_path / "model", "qwen3", tmp_path / "tokenizer")
    export_gguf(folder, tmp_path / "model.gguf", texts=TEXTS)
    assert fields_of(tmp_path / "model.gguf")["tokenizer.ggml.pre"] == "qwen35"
    for text in english_texts(20, seed=8):
        assert new.encode(text).ids == old.encode(text).ids
    with pytest.raises(ValueError, match="for tokenizers that cut words as Qwen2"):
        extend_tokenizer(gpt2_like(), words, 60, join_marks=True)


def test_the_alphabet_of_characters_is_refused(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    folder = shutil.copytree(model_dir("gpt2"), tmp_path / "model")
    for path in write_tokenizer(tmp_path / "char", "char").iterdir():
        shutil.copy(path, folder / path.name)
    with pytest.raises(DataError, match="alphabet: byte"):
        export_gguf(folder, tmp_path / "model.gguf")


LLAMA = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "rms_norm_eps": 1e-6,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "opt"}, "model type opt is not written as GGUF here"),
        ({"hidden_act": "gelu"}, "not computed with hidden_act = 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rotary positions of type yarn"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "rotary positions of type linear"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window = True"),
    ],
)
def test_a_network_that_would_be_computed_wrong_is_refused(
    change: dict[str, Any], message: str
) -> None:
    network_of(LLAMA, 100)
    with pytest.raises(DataError, match=message):
        network_of(LLAMA | change, 100)


def test_a_tensor_that_has_no_place_is_refused() -> None:
    with pytest.raises(DataError, match=r"no tensor for model\.layers\.0\.router\.weight"):
        network_of(LLAMA, 100).tensor_name("model.layers.0.router.weight")


def test_an_embedding_smaller_than_the_vocabulary_is_refused() -> None:
    with pytest.raises(DataError, match="has 99 rows for the 100 tokens"):
        network_of(LLAMA, 100).layout("model.embed_tokens.weight", (99, 64))


def test_the_command_writes_and_says_what_it_checked(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    app = typer.Typer()
    app.command()(export)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    output = tmp_path / "deep" / "model.gguf"
    arguments = ["--format", "gguf", "--dtype", "q8_0", "--output", str(output)]
    arguments += ["--model", str(model_dir("gpt2")), "--check-texts", str(tmp_path / "texts.txt")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "the same ids as the tokenizer's on" in result.output.replace("\n", " ")
    assert output.is_file()
