"""Peak memory of every data stage on 1x and 8x input: it should stay flat.

    uv run python -m benchmarks.memory [--small 1] [--times 8] [--json]

Writes generated dumps of both sizes, runs each stage in a process of its own with one worker, and prints the
peak resident memory, and the part of it above what the process had after its imports.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = (
    "ingest", "normalize", "sign", "deduplicate", "score", "mix", "train_tokenizer", "pack",
)  # fmt: skip
#: Small parts, shards and samples, so that even the small input has several of each and fills its sample: memory
#: must follow these settings, not the corpus.
SETTINGS = {
    "ingest": {"part_bytes": 1 << 20},
    "packing": {"shard_rows": 1024},
    "tokenizer": {"sample": {"max_content_bytes": 250_000}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--small", type=float, default=1.0, help="scale of the small sample (1: 4 MB)"
    )
    parser.add_argument(
        "--times", type=float, default=8.0, help="how many times larger the other is"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.root)))
        return
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, scale in (("small", options.small), ("large", options.small * options.times)):
            root = Path(folder) / name
            write_dumps(root, scale)
            for stage in STAGES:
                rows.setdefault(stage, {})[name] = measure(stage, root)
    report(rows, as_json=options.json)


def write_dumps(root: Path, scale: float) -> None:
    from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps

    write_synthetic_dumps(root / "synthetic", scale=scale)
    inbox = root / "inbox" / "demo"
    inbox.mkdir(parents=True)
    for path in (root / "synthetic").glob("*@*"):
        path.rename(inbox / path.name)


def measure(stage: str, root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.memory", "--stage", stage, "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{stage}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def report(rows: dict[str, dict[str, dict[str, float]]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'stage':<16} {'small MB':>9} {'large MB':>9} {'ratio':>6}   {'above imports, MB':>20}   seconds"
    )
    for stage, row in rows.items():
        small, large = row["small"], row["large"]
        ratio = large["peak_mb"] / small["peak_mb"]
        print(
            f"{stage:<16} {small['peak_mb']:>9.0f} {large['peak_mb']:>9.0f} {ratio:>6.2f}   "
            f"{small['above_imports_mb']:>9.0f} {large['above_imports_mb']:>10.0f}   "
            f"{small['elapsed_s']:.1f} {large['elapsed_s']:.1f}"
        )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_stage(stage: str, root: Path) -> dict[str, float]:
    """Run one stage on what the stages before it left below `root`."""
    from tonsai_pipeline.engine import open_engine
    from tonsai_pipeline.recipe import load_recipe, parse_recipe
    from tonsai_pipeline.stages import (
        catalog,
        deduplicate,
        ingest,
        mix,
        normalize,
        pack,
        score,
        sign,
        train_tokenizer,
    )
    from tonsai_pipeline.storage.layout import Layout
    from tonsai_pipeline.storage.store import Store

    recipe = load_recipe("demo")
    settings = recipe.model_dump()
    for section, values in SETTINGS.items():
        settings[section] |= values
    recipe = parse_recipe(settings, where="demo")
    store = Store(Layout(root, recipe.name))
    engine = open_engine("local", num_workers=1)
    dumps = catalog.find_dumps(recipe, store.layout, root).enabled
    sources = {source.name: source for source in recipe.sources}

    def make(asset, partition, work):
        return store.materialize(asset, partition, work, stage_version="1", settings={}, inputs={})

    def every(asset):
        return {dump.key: store.current(asset, dump.key) for dump in dumps}

    def whole(asset, verb, *inputs, **settings):
        make(
            asset,
            None,
            lambda folder: verb(*inputs, folder, engine=engine, store=store, **settings),
        )

    warm_up(recipe, sources, engine)
    before, started = peak_mb(), time.monotonic()
    if stage == "ingest":
        for dump in dumps:
            source = sources[dump.source]
            make(
                "raw_documents",
                dump.key,
                lambda folder, dump=dump, source=source: ingest.ingest(
                    dump, folder, source=source, config=recipe.ingest, engine=engine
                ),
            )
    elif stage in ("normalize", "sign"):
        asset, needs, verb, config = {
            "normalize": (
                "normalized_documents",
                "raw_documents",
                normalize.normalize,
                recipe.normalize,
            ),
            "sign": (
                "minhash_signatures",
                "normalized_documents",
                sign.sign,
                recipe.dedup.signatures,
            ),
        }[stage]
        for key, artifact in every(needs).items():
            make(
                asset,
                key,
                lambda folder, artifact=artifact: verb(
                    artifact, folder, config=config, engine=engine
                ),
            )
    elif stage == "deduplicate":
        inputs = every("minhash_signatures"), every("normalized_documents")
        whole("deduplicated_documents", deduplicate.deduplicate, *inputs, config=recipe.dedup)
    elif stage == "score":
        inputs = every("normalized_documents"), store.current("deduplicated_documents")
        whole(
            "scored_documents", score.score, *inputs, sources=recipe.sources, config=recipe.quality
        )
    elif stage == "mix":
        inputs = (store.current("scored_documents"),)
        whole("training_mixture", mix.mix, *inputs, sources=recipe.sources, config=recipe.mixture)
    elif stage == "train_tokenizer":
        inputs = store.current("training_mixture"), every("normalized_documents")
        config = {"config": recipe.tokenizer, "normalize": recipe.normalize}
        whole("tokenizer", train_tokenizer.train_tokenizer, *inputs, **config)
    else:
        inputs = (
            store.current("training_mixture"),
            every("normalized_documents"),
            store.current("tokenizer"),
        )
        whole("packed_shards", pack.pack, *inputs, config=recipe.packing)
    peak = peak_mb()
    return {
        "peak_mb": peak,
        "above_imports_mb": peak - before,
        "elapsed_s": time.monotonic() - started,
    }


def warm_up(recipe, sources, engine) -> None:
    """Load the compiled kernels, so that they count as imports."""
    import pyarrow as pa

    from tonsai_pipeline.text import NormalizeOptions, languages_batch, normalize_batch_report

    del recipe, sources, engine
    texts = pa.array(["\u1781\u17d2\u1798\u17c2\u179a and English words"], pa.large_string())
    normalize_batch_report(texts, NormalizeOptions())
    languages_batch(texts)


if __name__ == "__main__":
    main()
