"""Raw dumps to packed shards, ours and datatrove's on the same files -> MB/s of one core, peak memory, our stages.

    uv run --group bench python -m benchmarks.whole --data FOLDER [--json] [--only khm,eng]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`); junk and repeated pages are part of it, as of any
dump. Each runs in a process of its own with one thread, first on the first documents of each file: what is loaded and
compiled there is start-up, told beside. Both get a tokenizer that is trained already.

The work is as alike as the two are. Both read, normalize, judge by rules, drop near duplicates, encode, shuffle and
write. Only ours tells languages, repairs Khmer, keeps every decision and document as artifacts that can be read, counts
personal data and fits documents into rows; only datatrove's cuts words by khmer-nltk and spaCy, and writes one stream
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
from benchmarks.memory import peak_mb

SECTIONS = ("khm", "eng")
WAYS = ("ours", "datatrove")
VOCAB_SIZE = 50_000
#: Documents of each file that a process runs first.
_FIRST_DOCUMENTS = 10


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
        run = lambda lang, work: compare(options.data, lang, tokenizer, work)
        sections.run_each(chosen, run, as_json=options.json)


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
    first = work / "first" / lang
    first.mkdir(parents=True)
    for path in texts.files(data, lang):
        with gzip.open(path, "rt") as whole, gzip.open(first / path.name, "wt") as part:
            part.writelines(itertools.islice(whole, _FIRST_DOCUMENTS))
    raw = [text for path in texts.files(data, lang) for text in texts.read_texts(path)]
    num_mb = sum(len(text.encode()) for text in raw) / 1e6
    found: dict[str, Any] = {"text MB": num_mb, "documents": len(raw)}
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.whole", "--data", str(data), "--only", lang]
        command += ["--child", way, str(tokenizer), str(work)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{lang}, {way}: {done.stderr[-3000:]}")
        one = json.loads(done.stdout.splitlines()[-1])
        found[way] = one | {"MB/s of CPU": num_mb / one["CPU s"]}
        print(f"{lang}, {way}: {found[way]}", file=sys.stderr, flush=True)
    found["ratio"] = found["ours"]["MB/s of CPU"] / found["datatrove"]["MB/s of CPU"]
    return found


def alone(data: Path, lang: str, way: str, tokenizer: str, work: str) -> dict[str, Any]:
    """Run one way in this process, on the first documents and then on all."""
    if way == "ours":
        from benchmarks.whole.ours import run
    else:
        word_tokenizers.find()
        from benchmarks.whole.theirs import run

    run(Path(work) / "first", lang, Path(tokenizer), Path(work) / f"{way}-first")
    start_up_s = cpu_s()
    started = time.perf_counter()
    found = run(data, lang, Path(tokenizer), Path(work) / way)
    return {
        "start-up, CPU s": start_up_s,
        "CPU s": cpu_s() - start_up_s,
        "wall s": time.perf_counter() - started,
        "peak MB": peak_mb(),
        **found,
    }


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those that it started and that ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


if __name__ == "__main__":
    main()
