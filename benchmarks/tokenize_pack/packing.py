"""How full rows are on the real mixture; ten million documents planned; memory at one and eight times the text."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.builders import peak_mb
from benchmarks.tokenize_pack import prepared
from tonsai_pipeline.cli.init import init
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.lineage.builder import all_dumps
from tonsai_pipeline.mixture.plan import plan
from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.packing.rows import stats_of
from tonsai_pipeline.packing.windows import cut_windows
from tonsai_pipeline.pipeline import PIPELINE, dumps_on_disk, open_builder
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store


def fill(data: Path, work: Path, *, vocab_size: int) -> dict[str, object]:
    """Run the recipe that `tonsai init` writes up to the tokens, then pack them at several row lengths."""
    init(data, base=None, output=work / "real.yaml", force=True)
    recipe = load_recipe(str(work / "real.yaml"))
    config = recipe.tokenizer.model_copy(update={"vocab_size": vocab_size, "compare_gpt2": False})
    store, engine = Store(Layout(work, recipe.name)), open_engine("local")
    dumps = dumps_on_disk(recipe, store, data)
    found = {}
    for packing in (
        PackingConfig(seq_len=512),
        PackingConfig(seq_len=2048),
        PackingConfig(seq_len=4096),
        PackingConfig(seq_len=2048, strategy="concat"),
    ):
        changed = recipe.model_copy(update={"tokenizer": config, "packing": packing})
        builder = open_builder(changed, store, dumps, engine=lambda: engine)
        for name in PIPELINE.up_to("packed_shards"):
            for dump in all_dumps(dumps.versions, PIPELINE[name]):
                builder.build(name, dump)
        report = builder.build("packed_shards").report
        train = report["splits"]["train"]
        planned = sum(entry["num_tokens"] for entry in report["sources"].values())
        found[f"{packing.strategy} {packing.seq_len}"] = {
            "tokens": report["num_tokens"],
            "tokens lost": planned - report["num_tokens"],
            "rows": report["num_rows"],
            "fill": report["fill_frac"],
            "documents": train["num_documents"],
            "documents cut": train["num_cut"],
            "documents longer than a row": train["num_long"],
        }
    engine.close()
    return found


def memory(data: Path, work: Path, *, vocab_size: int, times: int) -> dict[str, object]:
    """Tokenize and pack one and several copies of the text, each in a process of its own with one worker."""
    found = {}
    for copies in (1, times):
        root = work / str(copies)
        prepared.tokenizer(_builder(root, texts.training(data), copies, vocab_size))
        found[f"{copies} x"] = in_process("pack", str(root), copies, vocab_size)
    peaks = [one["peak MB"] for one in found.values()]
    return found | {"ratio of peaks": peaks[1] / peaks[0]}


def in_process(name: str, *arguments: object) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tokenize_pack", "--child", name]
    done = subprocess.run(
        [*command, json.dumps(arguments)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def child(name: str, arguments: str) -> dict[str, Any]:
    """What a process started by `in_process` does."""
    from benchmarks.tokenize_pack import speed

    started = time.perf_counter()
    result = {"plan": _plan, "pack": _pack, "cpu": speed.cpu}[name](*json.loads(arguments))
    return result | {"peak MB": peak_mb(), "s, all": time.perf_counter() - started}


def _plan(num_documents: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(6, 1.2, num_documents), 2, 200_000).astype(np.int64)
    source = generator.integers(0, 8, num_documents)
    targets = np.bincount(source, lengths, minlength=8).astype(np.int64)
    best_fit([1, 2, 3], 4)
    started = time.perf_counter()
    run = plan(lengths, source, targets, seed=0)
    ordered = time.perf_counter()
    sizes = lengths[run.order]
    borders = cut_windows(sizes, 2048, max_rows=65_536)
    tokens = rows = 0
    for first, last in itertools.pairwise(borders.tolist()):
        stats = stats_of(best_fit(sizes[first:last], 2048), sizes[first:last], 2048)
        tokens, rows = tokens + stats.num_tokens, rows + stats.num_rows
    return {
        "documents": num_documents,
        "tokens": tokens,
        "tokens lost": int(sizes.sum()) - tokens,
        "fill": tokens / (rows * 2048),
        "order s": ordered - started,
        "pack s": time.perf_counter() - ordered,
    }


def _pack(root: str, copies: int, vocab_size: int) -> dict[str, float]:
    # The texts are in the store already.
    builder = _builder(Path(root), {"khm": [], "eng": []}, copies, vocab_size)
    return {"tokens": prepared.shards(builder).report["num_tokens"]}


def _builder(root: Path, corpus: dict[str, list[str]], copies: int, vocab_size: int) -> Builder:
    return prepared.open_builder(
        root,
        corpus,
        open_engine("local", num_workers=1),
        copies=copies,
        tokenizer={"vocab_size": vocab_size, "compare_gpt2": False},
        # Small shards, so that the small corpus has several: memory follows the shard.
        packing={"seq_len": 2048, "shard_rows": 512},
    )
