"""Text to shards against the raw tokenizer and against `datasets.map`, taking turns in one run."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks import texts
from benchmarks.tokenize_pack import prepared
from benchmarks.tokenize_pack.tokenizers import count
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.stages.pack.stage import pack
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

SEQ_LEN = 2048
NUM_CORES = len(os.sched_getaffinity(0))


def measure(
    data: Path, work: Path, *, copies: int, vocab_size: int, repeats: int
) -> dict[str, object]:
    corpus = texts.training(data)
    store = Store(Layout(work, "speed"))
    mixture, normalized = prepared.build(store, corpus, copies)
    tokenizer = prepared.tokenizer(store, count(corpus), texts.parallel(data), vocab_size)
    files = [path for artifact in normalized.values() for path in artifact.parts()]
    num_bytes = copies * sum(len(text.encode()) for said in corpus.values() for text in said)
    engine = open_engine("local", num_workers=None)
    runs = {
        "encode_batch_fast, texts in memory": lambda _: raw(tokenizer.path, corpus, copies),
        "text to shards, ours": lambda n: ours(store, mixture, normalized, tokenizer, engine, n),
        "datasets.map, tokenize and group": lambda _: peer(tokenizer.path, files, work / "peer"),
    }
    seconds = {name: [] for name in runs}
    for turn in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run(turn)
            seconds[name].append(time.perf_counter() - started)
            print(f"  turn {turn}: {name}: {seconds[name][-1]:.1f} s", flush=True)
    engine.close()
    best = {name: min(found) for name, found in seconds.items()}
    raw_s, ours_s, peer_s = best.values()
    return {
        "text MB": num_bytes / 1e6,
        "cores": NUM_CORES,
        "seconds, best of turns": best,
        "MB/s": {name: num_bytes / 1e6 / best_s for name, best_s in best.items()},
        "ours / encode_batch_fast": raw_s / ours_s,
        "ours / datasets.map": peer_s / ours_s,
    }


def raw(folder: Path, corpus: dict[str, list[str]], copies: int) -> None:
    """Encode everything with the tokenizer's own threads, a thousand texts at a time, and keep nothing."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    encoder = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for _ in range(copies):
        for said in corpus.values():
            for start in range(0, len(said), 1000):
                encoder.encode_batch_fast(said[start : start + 1000], add_special_tokens=False)


def ours(store, mixture, normalized, tokenizer, engine, turn: int) -> None:
    """Read, tokenize, plan, pack, hash, write; nothing is cached from the turn before."""
    root = store.layout.root
    shutil.rmtree(root / "artifacts" / "packed_shards.tokens", ignore_errors=True)
    folder = root / f"shards-{turn}"
    folder.mkdir()
    config = PackingConfig(seq_len=SEQ_LEN)
    report = pack(mixture, normalized, tokenizer, folder, config=config, engine=engine, store=store)
    assert report.num_tokens > 0
    shutil.rmtree(folder)


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
