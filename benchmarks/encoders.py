"""Our encoder against `tokenizers` on one core, ids compared; and the ids of the real llama.cpp on every text.

    uv run python -m benchmarks.encoders --data FOLDER [--vocab-size N] [--llama PACKAGE]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`) and `vectors/`; PACKAGE is the folder of the npm
package node-llama-cpp. The numbers of the last run are in docs/tokenizer.md and docs/serving.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import gguf
import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from tonsai_pipeline.publish.gguf_vocabulary import read_vocabulary, write_vocabulary
from tonsai_pipeline.text import NormalizeOptions, normalize_batch
from tonsai_pipeline.tokenizer.assemble import (
    INFO_NAME,
    build_tokenizer,
    parse_info,
    special_tokens,
    tokenizer_files,
)
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.encode import Encoder
from tonsai_pipeline.tokenizer.pretokenize import split_words

SCRIPT = Path(__file__).parents[1] / "tonsai_pipeline_tests" / "publish" / "llama_cpp.mjs"
DOCUMENTS_A_REQUEST = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    parser.add_argument("--vocab-size", type=int, default=50_000, help="tokens")
    parser.add_argument("--llama", type=Path, help="folder of the npm package node-llama-cpp")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    useful = {lang: read(options.data, lang, junk=False) for lang in ("khm", "eng")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train([*useful["khm"], *useful["eng"]], options.vocab_size, folder)
        compare(useful, folder)
        if options.llama:
            texts = [text for lang in useful for text in read(options.data, lang, junk=True)]
            ask_llama([*texts, *vectors(options.data)], folder, options.llama)


def read(data: Path, lang: str, *, junk: bool) -> list[str]:
    found = []
    for path in sorted((data / lang).glob("*.jsonl.gz")):
        if junk or not path.name.startswith("junk_"):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                texts = pa.array((json.loads(line)["text"] for line in stream), pa.large_string())
            found += [text for text in normalize_batch(texts).to_pylist() if text]
    return found


def vectors(data: Path) -> list[str]:
    entries = [
        json.loads(line)
        for path in sorted((data / "vectors").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    found = (entry.get(name) for entry in entries for name in ("wrong", "right", "word"))
    return [text for text in found if isinstance(text, str)]


def train(texts: list[str], vocab_size: int, folder: Path) -> None:
    words = Counter(word for text in texts for word in split_words(text))
    specials = special_tokens(27)
    model = train_bpe(words, BpeOptions(vocab_size), special_tokens=specials)
    tokenizer = build_tokenizer(model, specials, NormalizeOptions())
    for name, content in tokenizer_files(tokenizer, NormalizeOptions()).items():
        (folder / name).write_bytes(content)


def compare(corpus: dict[str, list[str]], folder: Path) -> None:
    info = parse_info((folder / INFO_NAME).read_bytes())
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    for lang, said in corpus.items():
        texts = pa.array(said, pa.large_string())
        num_mb = sum(len(one.encode()) for one in said) / 1e6
        found, speeds = [], []
        for fast in (True, False):
            encoder = Encoder(text, info, np.uint32, fast=fast)
            assert encoder.is_fast == fast
            started = time.process_time()
            parts = [encoder.encode(texts.slice(at, 256))[0] for at in range(0, len(texts), 256)]
            speeds.append(num_mb / (time.process_time() - started))
            found.append(np.concatenate(parts))
        same = np.array_equal(*found)
        print(
            f"{lang}: {num_mb:.1f} MB, {len(found[0]):,} tokens, ids {'equal' if same else 'DIFFER'}: "
            f"{speeds[0]:.1f} against {speeds[1]:.1f} MB/s of CPU time, {speeds[0] / speeds[1]:.1f} times"
        )


def ask_llama(texts: list[str], folder: Path, package: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    path = folder / "vocabulary.gguf"
    write_gguf(path, folder)
    normal = [tokenizer.normalizer.normalize_str(text) for text in texts]
    num_tokens = num_different = 0
    for at in range(0, len(normal), DOCUMENTS_A_REQUEST):
        part = normal[at : at + DOCUMENTS_A_REQUEST]
        request, answer = folder / "request.json", folder / "answer.json"
        request.write_text(json.dumps({"model": str(path), "ids": part}), encoding="utf-8")
        subprocess.run(["node", SCRIPT, package, request, answer], check=True)
        ids = json.loads(answer.read_text())["ids"]
        expected = tokenizer.encode_batch(part, add_special_tokens=False)
        num_tokens += sum(map(len, ids))
        num_different += sum(a != b.ids for a, b in zip(ids, expected, strict=True))
    print(f"llama.cpp: {len(texts):,} texts, {num_tokens:,} tokens, {num_different} differ")


def write_gguf(path: Path, folder: Path) -> None:
    """Write a vocabulary and no weights; llama.cpp wants some network's sizes beside it."""
    writer = gguf.GGUFWriter(path, "llama")
    for name in ("context_length", "embedding_length", "feed_forward_length", "block_count"):
        getattr(writer, f"add_{name}")(64)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-6)
    write_vocabulary(writer, read_vocabulary(folder))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


if __name__ == "__main__":
    main()
