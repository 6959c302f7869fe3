"""Khmer normalization, measured: speed beside three peers, agreement with pheasa, hostile input.

    uv run --group bench python benchmarks/normalize.py --data FOLDER [--json] [--only speed,agreement,...]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`). One process, one core. Ours is timed on whole
files, best of seven; the peers, a hundred times slower and more, on the first documents of each file, once. What the
numbers mean, and those of the last run, are in docs/khmer.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

# The room itself is single-threaded; nothing beside it shall help either.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from tonsai_pipeline.text import (
    NormalizeOptions,
    count_clusters_batch,
    dedup_key_batch,
    languages_batch,
    legacy_font_batch,
    normalize,
    normalize_batch,
    normalize_batch_report,
)

SECTIONS = ("speed", "report", "agreement", "hostile")
SPEED_FILES = (
    "khm/news",
    "khm/wikipedia",
    "khm/ntrex128",
    "khm/web_oscar",
    "khm/dictionary",
    "khm/libreoffice_help",
    "eng/abc_news",
)
MB = 1e6
#: UTN #61 and nothing else: what pheasa does without options.
PLAIN = NormalizeOptions(
    strip_zwsp=False,
    strip_joiners=False,
    strip_ignorables=False,
    fold_spaces=False,
    fold_deprecated=False,
    collapse_duplicate_marks=False,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by comma")
    parser.add_argument("--peer-kb", type=int, default=60, help="text the peers are timed on")
    parser.add_argument("--hostile-mb", type=int, default=50, help="size of one hostile line")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"unknown sections {sorted(unknown)}; there are {', '.join(SECTIONS)}")
    results = {name: RUN[name](options) for name in SECTIONS if name in chosen}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, rows in results.items():
        show(name, rows)


def show(name: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=name)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in {"file", "input", "step"} else "right")
    for row in rows:
        cells = (f"{x:,.3g}" if isinstance(x, float) else str(x) for x in row.values())
        table.add_row(*cells)
    Console(width=140).print(table)


def read(data: Path, name: str) -> list[str]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def num_bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def best(work: Callable[[], object], repeats: int = 7) -> float:
    """Seconds of the fastest run, after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


# --- speed ------------------------------------------------------------------------------------------


def speed(options: argparse.Namespace) -> list[dict[str, object]]:
    """MB/s of UTF-8, ours and the peers', and how many times faster ours is."""
    import khmernormalizer
    import khmerspell
    import pheasa

    peers: dict[str, Callable[[str], object]] = {
        "pheasa": lambda text: pheasa.normalize(text, zwsp="strip", fold_deprecated=True),
        "khmerspell": khmerspell.khnormal,
        "khmernormalizer": khmernormalizer.normalize,
    }
    preserve = NormalizeOptions(coeng_da="preserve")
    rows = []
    for name in SPEED_FILES:
        texts = read(options.data, name)
        array, size = pa.array(texts), num_bytes(texts) / MB
        row: dict[str, object] = {
            "file": name,
            "MB": size,
            "ours": size / best(lambda array=array: normalize_batch(array)),
            "preserve": size / best(lambda array=array: normalize_batch(array, preserve)),
            "report": size / best(lambda array=array: normalize_batch_report(array)),
        }
        sample = first_documents(texts, options.peer_kb * 1000)
        row["one by one"] = (
            num_bytes(sample) / MB / best(lambda s=sample: [normalize(t) for t in s])
        )
        for peer, work in peers.items():
            start = time.perf_counter()
            for text in sample:
                work(text)
            row[peer] = num_bytes(sample) / MB / (time.perf_counter() - start)
        for peer in peers:
            row[f"x {peer}"] = row["ours"] / row[peer]
        rows.append(row)
    return rows


def first_documents(texts: list[str], size: int) -> list[str]:
    """Return texts from the start, of at least `size` bytes together."""
    sample, total = [], 0
    for text in texts:
        if total >= size:
            break
        sample.append(text)
        total += len(text.encode())
    return sample


def report(options: argparse.Namespace) -> list[dict[str, object]]:
    """MB/s of the other steps that read every document."""
    steps = {
        "dedup_key_batch": dedup_key_batch,
        "count_clusters_batch": count_clusters_batch,
        "languages_batch": languages_batch,
        "legacy_font_batch": legacy_font_batch,
    }
    files = {name: normalize_batch(pa.array(read(options.data, name))) for name in SPEED_FILES}
    return [
        {"step": step}
        | {
            name: array.nbytes / MB / best(lambda a=array, w=work: w(a))
            for name, array in files.items()
        }
        for step, work in steps.items()
    ]


# --- agreement ----------------------------------------------------------------------------------------


def agreement(options: argparse.Namespace) -> list[dict[str, object]]:
    """Documents on which ours and pheasa differ, with the same options; and what our own rules add."""
    import pheasa

    rows = []
    for file in sorted((options.data / "khm").glob("*.jsonl.gz")):
        texts = read(options.data, f"khm/{file.name.removesuffix('.jsonl.gz')}")
        # pheasa takes a byte order mark from the start of a text and leaves it elsewhere.
        texts = [text.lstrip("\ufeff") for text in texts]
        array = pa.array(texts)
        kept = {**vars(PLAIN), "coeng_da": "preserve", "fold_deprecated": True}
        plain = normalize_batch(array, PLAIN).to_pylist()
        preserved = normalize_batch(array, NormalizeOptions(**kept)).to_pylist()
        full, _ = normalize_batch_report(array)
        again = normalize_batch(full)
        rows.append(
            {
                "file": file.name,
                "documents": len(texts),
                "differ": sum(a != pheasa.normalize(t) for a, t in zip(plain, texts, strict=True)),
                "differ, DA kept": sum(
                    a != pheasa.normalize(t, preserve_coeng_da=True, fold_deprecated=True)
                    for a, t in zip(preserved, texts, strict=True)
                ),
                "changed": sum(a != t for a, t in zip(full.to_pylist(), texts, strict=True)),
                "not idempotent": sum(
                    a != b for a, b in zip(full.to_pylist(), again.to_pylist(), strict=True)
                ),
            }
        )
    return rows


# --- hostile ------------------------------------------------------------------------------------------


def hostile(options: argparse.Namespace) -> list[dict[str, object]]:
    """Seconds for one line of a tenth and of the whole size: ten times the text, ten times the time."""
    rows = []
    normalize("\u1780\u17c1\u17b8\u200b e\u0301")  # loads the compiled functions
    for name, unit in {
        "letters": "\u1780",
        "one syllable of marks": "\u17b6\u17bb\u17c6",
        "one vowel": "\u17b6",
        "coeng ro": "\u17d2\u179a",
        "zero-width spaces": "\u200b",
        "joiners": "\u200c\u200d",
        "marks that NFC sorts": "\u0301\u0316",
        "marks beside Khmer": "\u17dd\u0316",
        "wrong syllables": "\u1780\u17c1\u17b8\u200b",
        "malformed at the end": "\u1780",
    }.items():
        seconds = []
        for size in (options.hostile_mb * MB / 10, options.hostile_mb * MB):
            line = b"\xe1\x9e\x80" + unit.encode() * int(size / len(unit.encode()))
            if "malformed" in name:
                line += b"\xe1\x9e"
            array = pa.array([line], pa.large_binary()).view(pa.large_string())
            start = time.perf_counter()
            try:
                normalize_batch(array)
            except ValueError:
                assert "malformed" in name
            seconds.append(time.perf_counter() - start)
        rows.append(
            {
                "input": name,
                f"s for {options.hostile_mb / 10:g} MB": seconds[0],
                f"s for {options.hostile_mb} MB": seconds[1],
                "ratio": seconds[1] / seconds[0],
            }
        )
    return rows


RUN: dict[str, Callable[[argparse.Namespace], list[dict[str, object]]]] = {
    "speed": speed,
    "report": report,
    "agreement": agreement,
    "hostile": hostile,
}

if __name__ == "__main__":
    main()
