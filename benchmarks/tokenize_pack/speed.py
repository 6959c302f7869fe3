"""Text to shards against the raw tokenizer and against `datasets.map`, taking turns in one run; and in CPU time."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from tokenizers import Tokenizer

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.stages.tokenize import stage as tokenize
from tonsai_pipeline.storage.shards import id_dtype
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.tokenizer.encode import Encoder

K = TypeVar("K")

SEQ_LEN = 2048
NUM_CORES = len(os.sched_getaffinity(0))
#: Texts that an encoder is handed at a time.
_BATCH = 1000
#: Every so many documents are measured alone as well, to tell what is fixed.
_EVERY = 4
#: How many times as fast as the raw encoder text to shards should be.
_GOALS = {"khm": 5, "eng": 15}


def measure(
    data: Path, work: Path, *, copies: int, vocab_size: int, repeats: int
) -> dict[str, object]:
    """Wall time with every core."""
    corpus = texts.training(data)
    engine = open_engine("local")
    builder = _builder(work, corpus, engine, copies=copies, tokenizer=_trained(vocab_size))
    tokenizer = prepared.tokenizer(builder)
    files = [
        path
        for dump in builder.dumps.versions
        for path in builder.build("normalized_documents", dump).parts()
    ]
    num_bytes = copies * sum(map(_num_bytes, corpus.values()))
    runs = {
        "encode_batch_fast, texts in memory": lambda: raw(tokenizer.path, corpus, copies),
        "text to shards, ours": lambda: prepared.shards(builder, again=True),
        "datasets.map, tokenize and group": lambda: peer(tokenizer.path, files, work / "peer"),
    }
    best = _best_of_turns(runs, repeats, time.perf_counter)
    engine.close()
    raw_s, ours_s, peer_s = best.values()
    return {
        "text MB": num_bytes / 1e6,
        "cores": NUM_CORES,
        "seconds, best of turns": best,
        "MB/s": {name: num_bytes / 1e6 / best_s for name, best_s in best.items()},
        "ours / encode_batch_fast": raw_s / ours_s,
        "ours / datasets.map": peer_s / ours_s,
    }


def cpu(data: str, work: str, vocab_size: int, repeats: int) -> dict[str, object]:
    """CPU time of this process by language: encoders that keep nothing, and the stages from text to shards.

    Every turn opens the encoder anew: one that has seen a text's words is faster on them. What the whole text takes
    beyond every fourth document is the speed of further text, without what is fixed.
    """
    # As in a worker of several.
    os.environ["RAYON_NUM_THREADS"] = "1"
    corpus = texts.training(Path(data))
    engine = open_engine("local", num_workers=1)
    tokenizer = prepared.tokenizer(
        _builder(Path(work, "both"), corpus, engine, tokenizer=_trained(vocab_size))
    )
    found: dict[str, object] = {}
    for lang, said in corpus.items():
        parts = {"few": said[::_EVERY], "whole": said}
        # Both sizes in turns, so that a busy moment does not fall on one of them.
        runs = {
            (part, name): run
            for part, some in parts.items()
            for name, run in _runs(
                tokenizer, lang, some, Path(work, f"{lang}-{part}"), engine
            ).items()
        }
        best = _best_of_turns(runs, repeats, time.process_time)
        few, whole = (
            {name: seconds for (one, name), seconds in best.items() if one == part}
            for part in parts
        )
        num_mb = _num_bytes(said) / 1e6
        further_mb = num_mb - _num_bytes(parts["few"]) / 1e6
        opening_s = whole.pop("opening our encoder")
        speeds = {name: num_mb / seconds for name, seconds in whole.items()}
        further = {name: further_mb / (seconds - few[name]) for name, seconds in whole.items()}
        found[lang] = {
            "text MB": num_mb,
            "s of CPU time to open our encoder": opening_s,
            "MB/s of CPU time": speeds,
            "MB/s of CPU time, further text": further,
            **{
                f"text to shards / encode_batch_fast{name}": one["text to shards"]
                / one["encode_batch_fast"]
                for name, one in (("", speeds), (", further text", further))
            },
            f"MB from which on it is {_GOALS[lang]} times as fast": _enough_mb(
                num_mb, whole["text to shards"], speeds["encode_batch_fast"], further, _GOALS[lang]
            ),
        }
    return found


def _enough_mb(
    num_mb: float, seconds: float, raw_speed: float, further: Mapping[str, float], goal: float
) -> float:
    """Return from how many MB of such text on text to shards is so many times as fast as the raw encoder.

    Args:
        num_mb: Text that took text to shards `seconds`.
        seconds: CPU time.
        raw_speed: MB/s of the raw encoder.
        further: MB/s of further text.
        goal: How many times as fast.
    """
    fixed_s = seconds - num_mb / further["text to shards"]
    gain_s = 1 / (goal * raw_speed) - 1 / further["text to shards"]  # for each MB
    return fixed_s / gain_s if gain_s > 0 else float("inf")


def _runs(
    tokenizer: Artifact, lang: str, said: list[str], work: Path, engine: Engine
) -> dict[str, Callable[[], object]]:
    """Return what is measured on some texts of a language."""
    section = {"base": str(tokenizer.path), "compare_gpt2": False}
    builder = _builder(work, {lang: said}, engine, tokenizer=section)
    prepared.shards(builder)  # compiles, and reads the texts from disk once
    return {
        "encode_batch_fast": lambda: raw(tokenizer.path, {"": said}, 1),
        "opening our encoder": lambda: encode(tokenizer, []),
        "our encoder": lambda: encode(tokenizer, said),
        "tokenize": lambda: _tokenize_again(builder),
        "text to shards": lambda: _shards_again(builder),
    }


def raw(folder: Path, corpus: dict[str, list[str]], copies: int) -> None:
    """Encode everything with the tokenizer's own threads, a thousand texts at a time, and keep nothing."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    encoder = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for _ in range(copies):
        for said in corpus.values():
            for start in range(0, len(said), _BATCH):
                encoder.encode_batch_fast(said[start : start + _BATCH], add_special_tokens=False)


def encode(tokenizer: Artifact, said: list[str]) -> None:
    """Encode everything with our encoder, in the batches of the stage, and keep nothing."""
    info = tokenize.read_info(tokenizer)
    text = (tokenizer.path / "tokenizer.json").read_bytes()
    encoder = Encoder(text, info, id_dtype(info.padded_vocab_size))
    assert encoder.is_fast
    for batch, _ in tokenize._batches(pa.array(said, pa.large_string()), tokenize._BATCH_BYTES):
        encoder.encode(batch)


def peer(folder: Path, files: list[Path], cache: Path) -> None:
    """The usual recipe: map to ids, map to rows, into Arrow files."""
    import datasets
    from transformers import AutoTokenizer

    # Forked workers turn the threads of the tokenizer off; say so, and each core has a process.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    datasets.disable_progress_bars()
    auto = AutoTokenizer.from_pretrained(folder)
    eos = auto.eos_token_id

    def encode(batch):
        return {"input_ids": [[*ids, eos] for ids in auto(batch["text"])["input_ids"]]}

    def group(batch):
        ids = list(itertools.chain.from_iterable(batch["input_ids"]))
        stop = len(ids) // SEQ_LEN * SEQ_LEN
        return {"input_ids": [ids[at : at + SEQ_LEN] for at in range(0, stop, SEQ_LEN)]}

    table = datasets.Dataset.from_parquet(
        [str(path) for path in files], columns=["text"], cache_dir=str(cache / "read")
    )
    options = {"batched": True, "num_proc": NUM_CORES, "load_from_cache_file": False}
    encoded = table.map(encode, remove_columns=table.column_names, **options)
    assert encoded.map(group, **options).num_rows > 0
    shutil.rmtree(cache)


def _builder(work: Path, corpus: dict[str, list[str]], engine: Engine, **options: Any) -> Builder:
    return prepared.open_builder(work, corpus, engine, packing={"seq_len": SEQ_LEN}, **options)


def _trained(vocab_size: int) -> dict[str, object]:
    return {"vocab_size": vocab_size, "compare_gpt2": False}


def _tokenize_again(builder: Builder) -> None:
    tokenize._open_encoder.cache_clear()
    for dump in builder.dumps.versions:
        builder.build("tokenized_documents_of_dump", dump, force=True)


def _shards_again(builder: Builder) -> None:
    tokenize._open_encoder.cache_clear()
    prepared.shards(builder, again=True)


def _best_of_turns(
    runs: Mapping[K, Callable[[], object]], repeats: int, clock: Callable[[], float]
) -> dict[K, float]:
    """Run everything in turns; return the seconds of the quickest turn of each."""
    seconds: dict[K, list[float]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name, run in runs.items():
            started = clock()
            run()
            seconds[name].append(clock() - started)
            print(f"  turn {turn}: {name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return {name: min(found) for name, found in seconds.items()}


def _num_bytes(said: list[str]) -> int:
    return sum(len(text.encode()) for text in said)
