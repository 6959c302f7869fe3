"""How full rows are on the real mixture; ten million documents planned; memory at one and eight times the text."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import texts
from benchmarks.dedup.pipeline import Pipeline
from benchmarks.tokenize_pack import prepared
from benchmarks.tokenize_pack.tokenizers import count
from tonsai_pipeline.cli.init import init
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.mixture.plan import plan
from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.packing.rows import stats_of
from tonsai_pipeline.packing.windows import cut_windows
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.stages import mix, score
from tonsai_pipeline.stages.pack.stage import pack
from tonsai_pipeline.stages.train_tokenizer.stage import train_tokenizer
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store


def fill(data: Path, work: Path, *, vocab_size: int) -> dict[str, object]:
    """Run the recipe that `tonsai init` writes up to the mixture, then pack it at several row lengths."""
    init(data, base=None, output=work / "real.yaml", force=True)
    recipe = load_recipe(str(work / "real.yaml"))
    pipeline = Pipeline(work, recipe, num_workers=2)
    normalized = pipeline.normalized(data)
    kept = pipeline.deduplicated(
        pipeline.signed(normalized, recipe.dedup.signatures), normalized, recipe.dedup
    )
    common = {"engine": pipeline.engine, "store": pipeline.store}

    def make(asset, work_on):
        return pipeline.store.materialize(
            asset, None, work_on, stage_version="1", settings={}, inputs={}
        )

    scored = make(
        "scored_documents",
        lambda folder: score.score(
            normalized, kept, folder, sources=recipe.sources, config=recipe.quality, **common
        ),
    )
    mixture = make(
        "training_mixture",
        lambda folder: mix.mix(
            scored, folder, sources=recipe.sources, config=recipe.mixture, **common
        ),
    )
    config = recipe.tokenizer.model_copy(update={"vocab_size": vocab_size, "compare_gpt2": False})
    tokenizer = make(
        "tokenizer",
        lambda folder: train_tokenizer(
            mixture, normalized, folder, config=config, normalize=recipe.normalize, **common
        ),
    )
    found = {}
    for strategy, seq_len in (
        ("best_fit", 512),
        ("best_fit", 2048),
        ("best_fit", 4096),
        ("concat", 2048),
    ):
        folder = work / f"{strategy}-{seq_len}"
        folder.mkdir()
        config = PackingConfig(seq_len=seq_len, strategy=strategy)
        report = pack(mixture, normalized, tokenizer, folder, config=config, **common)
        train = report.splits["train"]
        planned = sum(entry["num_tokens"] for entry in report.sources.values())
        found[f"{strategy} {seq_len}"] = {
            "tokens": report.num_tokens,
            "tokens lost": planned - report.num_tokens,
            "rows": report.num_rows,
            "fill": report.fill_frac,
            "documents": train["num_documents"],
            "documents cut": train["num_cut"],
            "documents longer than a row": train["num_long"],
        }
    pipeline.engine.close()
    return found


def planned(num_documents: int) -> dict[str, float]:
    """Order and pack synthetic documents, in a process of its own."""
    return _child("_plan", str(num_documents))


def memory(data: Path, work: Path, *, vocab_size: int, times: int) -> dict[str, object]:
    """Pack one and several copies of the text, each in a process of its own with one worker."""
    found = {}
    for copies in (1, times):
        corpus = texts.training(data)
        store = Store(Layout(work / str(copies), "memory"))
        prepared.build(store, corpus, copies)
        prepared.tokenizer(store, count(corpus), texts.parallel(data), vocab_size)
        found[f"{copies} x"] = _child("_pack", str(store.layout.root))
    peaks = [one["peak MB"] for one in found.values()]
    return found | {"ratio of peaks": peaks[1] / peaks[0]}


def child(name: str, argument: str) -> dict[str, float]:
    """What a process started by `_child` does."""
    started = time.perf_counter()
    result = _plan(int(argument)) if name == "_plan" else _pack(Path(argument))
    peak = peak_mb()
    return result | {"peak MB": peak, "s, all": time.perf_counter() - started}


def peak_mb() -> float:
    """Return the peak resident memory of this program.

    Not `ru_maxrss`: a process takes that over from the one that started it.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


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


def _pack(root: Path) -> dict[str, float]:
    store = Store(Layout(root, "memory"))
    engine = open_engine("local", num_workers=1)
    mixture = store.current("training_mixture")
    dumps = json.loads((mixture.path / "dumps.json").read_bytes())
    normalized = {dump: store.current("normalized_documents", dump) for dump in dumps}
    folder = root / "shards"
    folder.mkdir()
    report = pack(
        mixture,
        normalized,
        store.current("tokenizer"),
        folder,
        # Small shards, so that the small corpus has several: memory follows the shard.
        config=PackingConfig(seq_len=2048, shard_rows=512),
        engine=engine,
        store=store,
    )
    return {"tokens": report.num_tokens}


def _child(name: str, argument: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.tokenize_pack", "--child", name, argument]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])
