"""The real llama.cpp: the same ids, the same greedy text, one BOS before a chat. Needs node and node-llama-cpp."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.model.opened import open_model
from tonsai_pipeline.publish.gguf_file import export_gguf
from tonsai_pipeline.serve.reply import Reply, Sampling
from tonsai_pipeline.text import NormalizeOptions, normalize_batch
from tonsai_pipeline.tokenizer.assemble import (
    build_tokenizer,
    probe_texts,
    special_tokens,
    tokenizer_files,
)
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.pretokenize import split_words
from tonsai_pipeline_tests.publish.conftest import KINDS, PADDED, VOCAB_SIZE, write_model

pytestmark = pytest.mark.slow

NUM_TOKENS = 64
QUESTION, ANSWER = "តើអ្នកជានរណា?", "ខ្ញុំជាម៉ាស៊ីន។"
DOCUMENTS_A_FILE = 120
LONGEST_CHARS = 8000


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that puts a request to llama.cpp (see llama_cpp.mjs)."""
    package = os.environ.get("TONSAI_NODE_LLAMA_CPP")
    if not package or shutil.which("node") is None:
        pytest.skip(
            "node is not there, or TONSAI_NODE_LLAMA_CPP does not name the folder of the npm package "
            "node-llama-cpp (npm install --ignore-scripts node-llama-cpp@3.22.1)"
        )
    script = Path(__file__).with_name("llama_cpp.mjs")
    folder = tmp_path_factory.mktemp("llama_cpp")

    def put(request: dict[str, Any]) -> dict[str, Any]:
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = ["node", script, package, folder / "request.json", folder / "answer.json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "answer.json").read_text())

    return put


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_what_transformers_writes(
    tmp_path: Path,
    model_dir: Callable[[str], Path],
    ask: Callable[[dict[str, Any]], dict[str, Any]],
    kind: str,
) -> None:
    folder, path = model_dir(kind), tmp_path / "model.gguf"
    export_gguf(folder, path, dtype="f32")
    prompt = [0, 300, 500, 700]
    chat = "សួស្តី"
    answer = ask(
        {"model": str(path), "greedy": {"prompt": prompt, "tokens": NUM_TOKENS}, "chat": chat}
    )
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    model.generation_config.eos_token_id = None
    expected = model.generate(
        torch.tensor([prompt]),
        do_sample=False,
        max_new_tokens=NUM_TOKENS,
        pad_token_id=2,
        suppress_tokens=list(range(VOCAB_SIZE, PADDED)),  # rows without a token are not in the file
    )
    assert answer["greedy"] == expected[0, len(prompt) :].tolist()
    assert len(set(answer["greedy"])) > 3
    assert (answer["bos"], answer["eos"], answer["eot"]) == (0, 1, 4)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    message = [{"role": "user", "content": chat}]
    asked = tokenizer.apply_chat_template(message, add_generation_prompt=True)["input_ids"]
    assert answer["chat"]["auto"] == asked
    for ids in (*answer["chat"].values(), asked):
        assert (ids[0], ids.count(0)) == (0, 1)


def test_a_tuned_model_answers_and_stops_as_it_does_here(
    tmp_path: Path,
    tokenizer_dir: Path,
    ask: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    base = write_model(tmp_path / "base", "gpt2", tokenizer_dir)
    folder = tune(base, tmp_path / "tuned", tokenizer_dir)
    opened = open_model(str(folder))
    assert opened.takes_turns
    ids = opened.turn_ids([{"role": "user", "content": QUESTION}])
    reply = Reply(opened, ids, Sampling(max_new_tokens=NUM_TOKENS, temperature=0.0))
    assert "".join(reply) == ANSWER
    assert reply.finish_reason == "stop"
    export_gguf(folder, tmp_path / "tuned.gguf", dtype="f32")
    answer = ask(
        {"model": str(tmp_path / "tuned.gguf"), "chat": QUESTION, "replyTokens": NUM_TOKENS}
    )
    assert answer["chat"]["auto"] == ids
    assert answer["reply"] == ANSWER


def tune(base: Path, folder: Path, tokenizer_dir: Path) -> Path:
    """Let a network learn one conversation by heart, as instruction tuning leaves a folder."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    ids = torch.tensor([tokenizer.apply_chat_template(turns)["input_ids"]])
    model = AutoModelForCausalLM.from_pretrained(base).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.config.eos_token_id = 4
    model.generation_config.eos_token_id = [4, 1]
    save_model(model, folder, tokenizer_dir=tokenizer_dir)
    return folder


def test_it_gives_the_ids_of_the_tokenizer_on_real_text(
    tmp_path: Path,
    real_data: Path,
    ask: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    texts = probe_texts()
    for path in sorted((real_data / "vectors").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            texts += [v for n in ("wrong", "right", "word") if isinstance(v := entry.get(n), str)]
    for path in sorted(real_data.glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            found = [json.loads(line)["text"][:LONGEST_CHARS] for line in stream]
        chosen = pa.array(found[:: -(-len(found) // DOCUMENTS_A_FILE)], pa.large_string())
        texts += [text for text in normalize_batch(chosen).to_pylist() if text]
    words = Counter(word for text in texts for word in split_words(text))
    specials = special_tokens(3)
    options = BpeOptions(vocab_size=6000)
    tokenizer = build_tokenizer(
        train_bpe(words, options, special_tokens=specials), specials, NormalizeOptions()
    )
    (tmp_path / "tokenizer").mkdir()
    for name, data in tokenizer_files(tokenizer, NormalizeOptions()).items():
        (tmp_path / "tokenizer" / name).write_bytes(data)
    folder = write_model(tmp_path / "model", "gpt2", tmp_path / "tokenizer")
    export_gguf(folder, tmp_path / "model.gguf", dtype="q8_0")
    tokenizer.encode_special_tokens = True
    normal = [tokenizer.normalizer.normalize_str(text) for text in texts]
    answer = ask({"model": str(tmp_path / "model.gguf"), "ids": normal})
    expected = [one.ids for one in tokenizer.encode_batch(normal, add_special_tokens=False)]
    different = [t for t, a, b in zip(normal, answer["ids"], expected, strict=True) if a != b]
    assert len(normal) > 3000
    assert different == []
