"""Raw dumps to packed shards, ours and datatrove's on the same files -> MB/s of one core, peak memory, our stages.

    uv run --group bench python -m benchmarks.whole --data FOLDER [--json] [--only khm,eng]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`); junk and repeated pages are part of it, as of any
dump. Each runs in a process of its own with one thread, twice on every eighth document and then on all. What the first
run takes beyond the second is start-up: imports, models, compiled code. `further MB/s` is what the whole takes beyond
the eighth: no file, stage or table of a tokenizer is opened for it. Both get a tokenizer that is trained already.

The work is as alike as the two are. Both read, normalize, judge by rules, drop near duplicates, encode, shuffle and
write. Only ours tells languages, repairs Khmer, keeps every decision and document as artifacts that can be read, and
fits documents into rows; only datatrove's cuts words by khmer-nltk and spaCy, and writes one stream
of tokens that is cut anywhere. Its own language filter needs a model from the network and is left out.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import sections, texts, word_tokenizers
from benchmarks.builders import peak_mb

SECTIONS = ("khm", "eng")
WAYS = ("ours", "datatrove")
VOCAB_SIZE = 50_000
#: Every so many documents are in the small run.
_EVERY = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(alone(options.data, options.only, *options.child)))
        return
    chosen = sections.chosen(parser, options.only, SECTIONS)
    word_tokenizers.find()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = trained(options.data, Path(folder))
        sections.run_each(
            chosen,
            lambda lang, work: compare(options.data, lang, tokenizer, work),
            as_json=options.json,
        )


def trained(data: Path, work: Path) -> Path:
    """Return the folder of a tokenizer of both languages."""
    from benchmarks.tokenize_pack import prepared
    from tonsai_pipeline.engine import open_engine

    engine = open_engine("local", num_workers=1)
    tokenizer = {"vocab_size": VOCAB_SIZE, "compare_gpt2": False}
    builder = prepared.open_builder(work, texts.training(data), engine, tokenizer=tokenizer)
    return prepared.tokenizer(builder).path


def compare(data: Path, lang: str, tokenizer: Path, work: Path) -> dict[str, Any]:
    """Run both, one after the other; return what each needed."""
    few = work / "few"
    (few / lang).mkdir(parents=True)
    for path in texts.files(data, lang):
        with gzip.open(path, "rt") as whole, gzip.open(few / lang / path.name, "wt") as part:
            part.writelines(itertools.islice(whole, 0, None, _EVERY))
    (num_documents, num_mb), (_, few_mb) = _size(data, lang), _size(few, lang)
    found: dict[str, Any] = {"text MB": num_mb, "documents": num_documents}
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.whole", "--data", str(data), "--only", lang]
        command += ["--child", way, str(tokenizer), str(work)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{lang}, {way}: {done.stderr[-3000:]}")
        one = json.loads(done.stdout.splitlines()[-1])
        further_s = one["CPU s"] - one["CPU s of an eighth"]
        found[way] = one | {
            "MB/s": num_mb / one["CPU s"],
            "further MB/s": (num_mb - few_mb) / further_s,
        }
        if way == "ours":
            found[way]["MB/s of stages"] = _stage_speeds(one, num_mb, few_mb)
        print(f"{lang}, {way}: {found[way]}", file=sys.stderr, flush=True)
    for name in ("MB/s", "further MB/s"):
        found[f"ratio of {name}"] = found["ours"][name] / found["datatrove"][name]
    return found


def _size(data: Path, lang: str) -> tuple[int, float]:
    """Return the number of documents and their MB of text."""
    raw = [text for path in texts.files(data, lang) for text in texts.read_texts(path)]
    return len(raw), sum(len(text.encode()) for text in raw) / 1e6


def _stage_speeds(one: dict[str, Any], num_mb: float, few_mb: float) -> dict[str, float]:
    """Return MB of raw text a second of CPU that each of our stages takes further text at."""
    few, whole = one["CPU s of stages, an eighth"], one["CPU s of stages"]
    return {
        name: (num_mb - few_mb) / max(seconds - few[name], 1e-3) for name, seconds in whole.items()
    }


def alone(data: Path, lang: str, way: str, tokenizer: str, work: str) -> dict[str, Any]:
    """Run one way in this process, on an eighth of the documents twice, and then on all."""
    if way == "ours":
        from benchmarks.whole.ours import run
    else:
        word_tokenizers.find()
        from benchmarks.whole.theirs import run

    few = Path(work) / "few"
    run(few, lang, Path(tokenizer), Path(work) / f"{way}-first")
    first_s = cpu_s()
    small = run(few, lang, Path(tokenizer), Path(work) / f"{way}-few")
    few_s = cpu_s() - first_s
    started, before_s = time.perf_counter(), cpu_s()
    found = run(data, lang, Path(tokenizer), Path(work) / way)
    result = {
        "start-up, CPU s": first_s - few_s,
        "CPU s of an eighth": few_s,
        "CPU s": cpu_s() - before_s,
        "wall s": time.perf_counter() - started,
        "peak MB": peak_mb(),
        **found,
    }
    if "CPU s of stages" in small:
        result["CPU s of stages, an eighth"] = small["CPU s of stages"]
    return result


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those that it started and that ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


if __name__ == "__main__":
    main()
