"""Signals of clean files and of junk -> the percentiles beside each limit of the recipe, by language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality.corpus import CLEAN, JUNK, TextFile, read_files
from tonsai_pipeline.quality.rules import LIMIT_NAMES, Limits
from tonsai_pipeline.quality.signals import Signal, measure
from tonsai_pipeline.recipe.quality import QualityConfig

#: Limits whose signal has another name than the limit itself.
_SIGNALS = {
    "min_words": Signal.num_words,
    "min_words_alone": Signal.num_words,
    "min_stop_words": Signal.num_stop_words,
}


def measure_percentiles(data: Path) -> list[dict[str, Any]]:
    """Return a row for each language and limit: percentiles on the side where the limit lies.

    `beyond_frac` is the share of clean documents beyond the limit, whatever other limits say.
    """
    files = read_files(data)
    rows = []
    for lang in ("khm", "eng"):
        clean, junk = (_values([files[name] for name in names], lang) for names in (CLEAN, JUNK))
        limits = Limits.of(QualityConfig().of(lang))
        for name in LIMIT_NAMES:
            signal = _signal(name)
            if signal not in clean:  # what the user's own word lists find
                continue
            rows.append(_row(lang, name, getattr(limits, name), clean[signal], junk.get(signal)))
    return rows


def _signal(limit: str) -> str:
    stem = limit.removeprefix("min_").removeprefix("max_")
    if limit in _SIGNALS:
        return _SIGNALS[limit]
    return f"num_{stem}" if f"num_{stem}" in set(Signal) else stem


def _values(files: list[TextFile], lang: str) -> dict[str, npt.NDArray[np.floating]]:
    """Return each signal over all documents that are judged by the limits of a language."""
    found: dict[str, list[npt.NDArray[np.floating]]] = {}
    for file in files:
        mine = (file.judged_as() == lang) & ~file.rejected
        signals = measure(file.texts)
        for signal in Signal:
            if signal is not Signal.listed_word_frac:
                found.setdefault(signal.value, []).append(signals.of(signal)[mine])
        found.setdefault("bad_clusters_frac", []).append(file.bad_clusters_frac[mine])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _row(
    lang: str,
    name: str,
    limit: float,
    clean: npt.NDArray[np.floating],
    junk: npt.NDArray[np.floating] | None,
) -> dict[str, Any]:
    at_least = name.startswith("min_")
    levels = (1, 3, 50) if at_least else (50, 97, 99)
    beyond = clean < limit if at_least else clean > limit
    row: dict[str, Any] = {"language": lang, "limit": name, "value": limit}
    row |= {f"clean p{level}": float(np.percentile(clean, level)) for level in levels}
    if junk is not None and len(junk):
        level = 97 if at_least else 3
        row |= {f"junk p{p}": float(np.percentile(junk, p)) for p in (50, level)}
    return row | {"beyond_frac": float(beyond.mean()), "num_clean": len(clean)}
