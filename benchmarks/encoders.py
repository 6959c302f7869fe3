"""Our encoder, `tokenizers` and its rivals on one core, ids compared; and the ids of the real llama.cpp on every text.

    uv run --group bench python -m benchmarks.encoders --data FOLDER [--json] [--only rivals,llama] [--llama PACKAGE]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`) and `vectors/`; PACKAGE is the folder of the npm
package node-llama-cpp, without which `llama` cannot run. The numbers of the last run are in docs/performance.md and
docs/serving.md. The rivals get normalized text and a tokenizer.json without normalizer, for not all of them know it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Read by the encoders' threads when they are loaded.
os.environ["RAYON_NUM_THREADS"] = "1"

import gguf
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from benchmarks import sections, texts
from benchmarks.tokenize_pack.tokenizers import count, train
from tonsai_pipeline.publish.gguf_vocabulary import read_vocabulary, write_vocabulary
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.assemble import INFO_NAME, parse_info, tokenizer_files
from tonsai_pipeline.tokenizer.encode import Encoder

SECTIONS = ("rivals", "llama")
SCRIPT = Path(__file__).parents[1] / "tonsai_pipeline_tests" / "publish" / "llama_cpp.mjs"
DOCUMENTS_A_REQUEST = 2_000
#: Texts that an encoder gets at a time.
_BATCH = 256

Encode = Callable[[list[str]], list[npt.NDArray[Any]]]
"""Texts -> the ids of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--vocab-size", type=int, default=50_000, help="tokens")
    parser.add_argument("--llama", type=Path, help="folder of the npm package node-llama-cpp")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, SECTIONS)
    if not options.llama:
        chosen = [name for name in chosen if name != "llama"]
    sections.run_each(chosen, lambda name, work: run(name, options, work), as_json=options.json)


def run(name: str, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run one section with a tokenizer of both languages."""
    corpus = texts.training(options.data)
    tokenizer = train(count(corpus), options.vocab_size)
    for file, content in tokenizer_files(tokenizer, NormalizeOptions()).items():
        (work / file).write_bytes(content)
    if name == "rivals":
        return {lang: rivals(said, work) for lang, said in corpus.items()}
    every = [
        text
        for lang in ("khm", "eng")
        for path in texts.files(options.data, lang)
        for text in texts.read(path)
    ]
    return ask_llama([*every, *texts.vectors(options.data)], work, options.llama)


def rivals(said: list[str], folder: Path) -> dict[str, Any]:
    """Return MB/s of CPU of each encoder on text that it has not seen, and how many documents it cuts otherwise."""
    num_mb = sum(len(text.encode()) for text in said) / 1e6
    found: dict[str, Any] = {"text MB": num_mb, "documents": len(said)}
    expected: list[npt.NDArray[Any]] = []
    for name, open_encoder in ENCODERS.items():
        # What another encoder cannot do is a result.
        try:
            encode = open_encoder(folder)
            started = time.process_time()
            ids = [
                one for at in range(0, len(said), _BATCH) for one in encode(said[at : at + _BATCH])
            ]
            seconds = time.process_time() - started
        except Exception as error:  # noqa: BLE001
            found[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        expected = expected or ids
        different = sum(not np.array_equal(a, b) for a, b in zip(ids, expected, strict=True))
        found[name] = {"MB/s": num_mb / seconds, "documents that differ": different}
    return found


def _tokenizers(folder: Path) -> Encode:
    tokenizer = Tokenizer.from_str(_reduced(folder))
    return lambda said: [
        np.array(one.ids) for one in tokenizer.encode_batch_fast(said, add_special_tokens=False)
    ]


def _ours(folder: Path) -> Encode:
    content = (folder / "tokenizer.json").read_bytes()
    encoder = Encoder(content, parse_info((folder / INFO_NAME).read_bytes()), np.uint32)
    assert encoder.is_fast

    def encode(said: list[str]) -> list[npt.NDArray[Any]]:
        ids, sizes = encoder.encode(pa.array(said, pa.large_string()))
        return [one[1:-1] for one in np.split(ids, np.cumsum(sizes)[:-1])]

    return encode


def _kitoken(folder: Path) -> Encode:
    import kitoken

    encoder: Any = kitoken.Kitoken.from_tokenizers(_reduced(folder).encode())
    return lambda said: [np.array(ids) for ids in encoder.encode_all(said, False)]


def _fastokens(folder: Path) -> Encode:
    import fastokens

    encoder: Any = fastokens.Tokenizer.from_json_str(_reduced(folder))

    def encode(said: list[str]) -> list[npt.NDArray[Any]]:
        ids, offsets = encoder.encode_batch_flat(said)
        return np.split(
            np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64)[1:-1].astype(int)
        )

    return encode


def _tokie(folder: Path) -> Encode:
    import tokie

    path = folder / "reduced.json"
    path.write_text(_reduced(folder), encoding="utf-8")
    encoder: Any = tokie.Tokenizer.from_json(str(path))

    def encode(said: list[str]) -> list[npt.NDArray[Any]]:
        ids, lengths = encoder.encode_batch_flat(said, add_special_tokens=False)
        return np.split(ids, np.cumsum(lengths)[:-1].astype(int))

    return encode


def _reduced(folder: Path) -> str:
    """Return tokenizer.json without normalizer and special tokens, which normalized text has no need of."""
    state = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return json.dumps(state | {"normalizer": None, "added_tokens": []})


#: The first is the one whose ids are right.
ENCODERS: dict[str, Callable[[Path], Encode]] = {
    "tokenizers": _tokenizers,
    "ours": _ours,
    "kitoken": _kitoken,
    "fastokens": _fastokens,
    "tokie": _tokie,
}


def ask_llama(said: list[str], folder: Path, package: Path) -> dict[str, int]:
    """Return how many texts llama.cpp cuts otherwise than `tokenizers`."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    path = folder / "vocabulary.gguf"
    write_gguf(path, folder)
    normal = [tokenizer.normalizer.normalize_str(text) for text in said]
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
    return {"texts": len(said), "tokens": num_tokens, "texts that differ": num_different}


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
