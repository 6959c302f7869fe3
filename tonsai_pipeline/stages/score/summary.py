"""Tallies of parts -> of a dump -> of a source and the corpus; quantile buckets; documents to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from tonsai_pipeline.quality.evaluation import quantile_borders

_COUNTS = ("num_documents", "num_bytes", "num_kept", "num_bytes_kept", "num_with_listed_words")
_COUNTERS = ("dropped_by_reason", "documents_by_language", "pii")
#: Bins of the histograms in the report: enough for a picture.
NUM_PICTURE_BINS = 20
_NUM_DECILES = 10
_NUM_TO_READ = 10


def add_tallies(tallies: Iterable[Mapping[str, Any]], *, num_samples: int = 4) -> dict[str, Any]:
    """Add up tallies of `parts.score_part`, or sums of them."""
    total: dict[str, Any] = dict.fromkeys(_COUNTS, 0)
    counters = {key: Counter[str]() for key in _COUNTERS}
    histograms: dict[str, np.ndarray] = {}
    samples: dict[str, list[list[Any]]] = {}
    for tally in tallies:
        for key in _COUNTS:
            total[key] += tally.get(key, 0)
        for key in _COUNTERS:
            counters[key].update(tally[key])
        for key, counts in tally["histograms"].items():
            histograms[key] = histograms.get(key, 0) + np.array(counts, dtype=np.int64)
        for key, held in tally["samples"].items():
            samples.setdefault(key, []).extend(held)
    for key, held in samples.items():
        samples[key] = sorted(held, key=lambda entry: (int(entry[0]), entry[1]["doc_id"]))[
            :num_samples
        ]
    return {
        **total,
        **{key: dict(sorted(counter.items())) for key, counter in counters.items()},
        "histograms": {key: histograms[key].tolist() for key in sorted(histograms)},
        "samples": {key: samples[key] for key in sorted(samples)},
    }


def picture(histograms: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Return kept and dropped documents over `NUM_PICTURE_BINS` bins of the score, all languages together."""
    pictures = {}
    for side in ("kept", "dropped"):
        found = [np.array(counts) for key, counts in histograms.items() if key.endswith(f"/{side}")]
        fine = np.sum(found, axis=0) if found else np.zeros(NUM_PICTURE_BINS, dtype=int)
        pictures[side] = fine.reshape(NUM_PICTURE_BINS, -1).sum(axis=1).tolist()
    return pictures


def kept_histogram(histograms: Mapping[str, list[int]], language: str) -> list[int]:
    """Return the fine histogram of the documents of a language that stay; empty if there are none."""
    return histograms.get(f"{language}/kept", [])


def buckets(histograms: Mapping[str, list[int]], num_buckets: int) -> dict[str, dict[str, Any]]:
    """Return, by language, the borders of buckets with equal numbers of kept documents, and those numbers."""
    made = {}
    for language in sorted({key.split("/")[0] for key in histograms}):
        counts = kept_histogram(histograms, language)
        if not sum(counts):
            continue
        borders = quantile_borders(counts, num_buckets)
        edges = [0, *(round(border * len(counts)) for border in borders), len(counts)]
        sizes = [int(sum(counts[a:b])) for a, b in pairwise(edges)]
        made[language] = {"borders": borders, "num_documents": sizes}
    return made


def documents_to_read(total: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return, by language, up to ten documents of each decile of the score, lowest decile first."""
    chosen: dict[str, list[dict[str, Any]]] = {}
    for language in sorted({key.split("/")[0] for key in total["histograms"]}):
        sides = [total["histograms"].get(f"{language}/{side}") for side in ("kept", "dropped")]
        counts = np.sum([side for side in sides if side], axis=0)
        borders = quantile_borders(counts.tolist(), _NUM_DECILES)
        held: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        for key, entries in total["samples"].items():
            if key.split("/")[0] == language:
                for hashed, sample in entries:
                    decile = int(np.searchsorted(borders, sample["score"], side="right"))
                    held.setdefault(decile, []).append((int(hashed), sample))
        chosen[language] = [
            {"decile": decile, **sample}
            for decile in sorted(held)
            for _, sample in sorted(held[decile], key=lambda entry: entry[0])[:_NUM_TO_READ]
        ]
    return chosen
