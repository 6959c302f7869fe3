"""Khmer normalization, measured: speed beside three peers, agreement with pheasa and with labels, hostile input.

    uv run --group bench python -m benchmarks.normalize --data FOLDER [--json] [--only speed,agreement,...]

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`). One process, one core. Ours is timed on whole
files, best of seven; the peers, a hundred times slower and more, on the first documents of each file, once. What the
numbers mean, and those of the last run, are in docs/khmer.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import sections

# The package itself is single-threaded; nothing beside it shall help either.
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
    paragraph_languages_batch,
    script_shares_batch,
)

SECTIONS = ("speed", "report", "agreement", "rules", "labels", "hostile")
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
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--peer-kb", type=int, default=60, help="text the peers are timed on")
    parser.add_argument("--hostile-mb", type=int, default=50, help="size of one hostile line")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, SECTIONS)
    results = {name: RUN[name](options) for name in SECTIONS if name in chosen}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, rows in results.items():
        show(name, rows)


def show(name: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=name)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in {"file", "input", "step"} else "right")
    for row in rows:
        cells = (f"{x:,.3g}" if isinstance(x, float) else str(x) for x in row.values())
        table.add_row(*cells)
    Console(width=140).print(table)


def read(data: Path, name: str, field: str = "text") -> list[str]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)[field] for line in lines]


def names(data: Path, folders: str = "*") -> list[str]:
    """Return the files, such as `khm/news`."""
    files = sorted(data.glob(f"{folders}/*.jsonl.gz"))
    return [f"{file.parent.name}/{file.name.removesuffix('.jsonl.gz')}" for file in files]


def num_bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def best(work: Callable[[], object], repeats: int = 7) -> float:
    """CPU seconds of the fastest run, after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


# --- speed ------------------------------------------------------------------------------------------


def speed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """MB of UTF-8 a second of CPU, ours and the peers', and how many times faster ours is."""
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
        row: dict[str, Any] = {
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
            start = time.process_time()
            for text in sample:
                work(text)
            row[peer] = num_bytes(sample) / MB / (time.process_time() - start)
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


def report(options: argparse.Namespace) -> list[dict[str, Any]]:
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


def agreement(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Documents on which ours and pheasa differ, with the same options; and what our own rules add."""
    import pheasa

    rows = []
    for name in names(options.data, "khm"):
        texts = read(options.data, name)
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
                "file": name,
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


# --- rules and labels -----------------------------------------------------------------------------------


def rules(options: argparse.Namespace) -> list[dict[str, Any]]:
    """How often each rule applies, per million Khmer characters of the text as it came."""
    columns = {}
    for name in SPEED_FILES[:5]:
        texts = read(options.data, name)
        _, seen = normalize_batch_report(pa.array(texts))
        num_khmer = sum("\u1780" <= character <= "\u17ff" for text in texts for character in text)
        columns[name] = {
            field.name: 1e6 * int(seen.field(field.name).to_numpy().sum()) / num_khmer
            for field in seen.type
        }
    first = columns[SPEED_FILES[0]]
    return [{"step": rule} | {name: columns[name][rule] for name in columns} for rule in first]


def labels(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Documents that are called garbage; and of those labelled khm or eng, how many get their label."""
    rows = []
    for name in names(options.data):
        normal = normalize_batch(pa.array(read(options.data, name)))
        given = read(options.data, name, "lang")
        found = languages_batch(normal).to_pylist()
        told = [(a, b) for a, b in zip(given, found, strict=True) if a in ("khm", "eng")]
        agreed = sum(a == b for a, b in told)
        garbage = len(given) - legacy_font_batch(normal).null_count
        rows.append(
            {
                "file": name,
                "documents": len(given),
                "garbage": garbage,
                "garbage %": 100 * garbage / len(given),
                "labelled": len(told),
                "agreed": agreed,
                "agreed %": 100 * agreed / max(1, len(told)),
                "other answers": dict(Counter(b for a, b in told if a != b)),
            }
        )
    total = {key: sum(row[key] for row in rows) for key in ("documents", "labelled", "agreed")}
    share = 100 * total["agreed"] / total["labelled"]
    return [*rows, dict.fromkeys(rows[0], "") | {"file": "all"} | total | {"agreed %": share}]


# --- hostile ------------------------------------------------------------------------------------------


def hostile(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds for one line of an eighth and of the whole size: eight times the text, eight times the time."""
    news = " ".join(read(options.data, "khm/news")).replace("\n", " ").encode()
    rows = []
    for name, unit in HOSTILE.items():
        rows.append(
            grown(name, news if unit == "news" else unit.encode(), normalize_batch, options)
        )
    steps = (
        normalize_batch_report,
        dedup_key_batch,
        count_clusters_batch,
        languages_batch,
        paragraph_languages_batch,
        legacy_font_batch,
        script_shares_batch,
    )
    return rows + [grown(f"news, {step.__name__}", news, step, options) for step in steps]


#: What one line is made of, again and again.
HOSTILE = {
    "news": "news",
    "letters": "\u1780",
    "one syllable of marks": "\u17b6\u17bb\u17c6",
    "one vowel": "\u17b6",
    "coeng ro": "\u17d2\u179a",
    "zero-width spaces": "\u200b",
    "joiners": "\u200c\u200d",
    "marks that NFC sorts": "\u0301\u0316",
    "marks that NFC splits and sorts": "\u0f73",
    "letters that NFC composes": "e\u0301",
    "marks beside Khmer": "\u17dd\u0316",
    "wrong syllables": "\u1780\u17c1\u17b8\u200b",
    "malformed at the end": "\u1780",
}


def grown(
    name: str, unit: bytes, work: Callable[[pa.Array], object], options: argparse.Namespace
) -> dict[str, Any]:
    """Time one line of an eighth of the size and of the whole of it.

    The ratio is of the processor time outside the kernel: large blocks of memory come fresh from it, small ones are used again,
    and what a fresh page costs is no work of ours.
    """
    row: dict[str, Any] = {"input": name}
    user = []
    for size in (options.hostile_mb * MB / 8, options.hostile_mb * MB):
        text = (unit * (int(size / len(unit)) + 1))[: int(size)].decode("utf-8", "ignore")
        line = "\u1780".encode() + text.encode() + b"\xe1\x9e" * ("malformed" in name)
        array = pa.array([line], pa.large_binary()).view(pa.large_string())
        runs = []
        for _ in range(3):
            start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
            try:
                work(array)
            except ValueError:
                assert "malformed" in name
            after = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            runs.append((after - before, time.process_time() - start))
        row[f"s for {size / MB:g} MB"] = min(seconds for _, seconds in runs)
        user.append(min(seconds for seconds, _ in runs))
    return row | {"times the work": user[1] / user[0]}


RUN: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "speed": speed,
    "report": report,
    "agreement": agreement,
    "rules": rules,
    "labels": labels,
    "hostile": hostile,
}

if __name__ == "__main__":
    main()
