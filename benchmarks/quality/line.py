"""English forum posts and overheard talk: how much of them stays against how much good text goes, by `max_lost_frac`.

    half of each file ──train──▶ classifier ──score──▶ the other halves: line, posts kept, good bytes lost

The form of a page was fitted on the same first halves. The two sides of `classifier.GOOD` are trained on in turn; the line is
drawn on the second halves of the files of that side, as the stage draws it on documents held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.quality import classifier
from benchmarks.quality.corpus import TextFile, read_file
from benchmarks.quality.drops import KINDS, verdict
from benchmarks.quality.form import half
from tonsai_pipeline.quality.evaluation import quantile_by_weight

FORUM = "eng/junk_forum"
#: Good English: pages, which the line is for, and other kinds, which it is not for.
PAGES = ("eng/abc_news", "eng/debian_handbook", "eng/state_union")
OTHERS = ("eng/masc", "eng/shakespeare", "eng/fortunes", "eng/ntrex128", "eng/libreoffice_help")
_MAX_LOST = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


def measure_line(data: Path, work: Path) -> list[dict[str, Any]]:
    """Return a row for each side of the good files and each line: posts kept, bytes lost of pages and of each other file."""
    junk = [name for names in classifier.KINDS.values() for name in names if name.startswith("eng")]
    names = {*PAGES, *OTHERS, *junk}
    files = {name: read_file(name, data / f"{name}.jsonl.gz") for name in sorted(names)}
    first = {name: _half(file, 0) for name, file in files.items()}
    second = {name: _half(files[name], 1) for name in (FORUM, *PAGES, *OTHERS)}
    rows = []
    for side, both in enumerate(classifier.GOOD):
        good = [name for name in both if name in files]
        folder = classifier.train("eng", good, junk, first, work / f"line-{side}")
        found = {name: _Judged([file], folder) for name, file in second.items()}
        found["pages"] = _Judged([second[name] for name in PAGES], folder)
        own = _Judged([second[name] for name in good], folder)
        seen = ", ".join(name[4:] for name in good)
        rows += [{"trained on": seen} | _row(found, own, share) for share in _MAX_LOST]
    return rows


class _Judged:
    """What the rules and the classifier say of the documents of some files.

    Args:
        files: The documents.
        folder: The classifier of English.
    """

    def __init__(self, files: list[TextFile], folder: Path) -> None:
        gone = [verdict(file, KINDS.get(file.name, "prose")) != None for file in files]  # noqa: E711
        scores = [classifier.scores(file, {"eng": folder})["score"] for file in files]
        self.scores = np.where(np.concatenate(gone), -1.0, np.concatenate(scores))
        texts = [text for file in files for text in file.texts.to_pylist()]
        self.num_bytes = np.array([len(text.encode()) for text in texts])

    def line(self, max_lost_frac: float) -> float:
        """Return the score below which that share of the bytes lies that the rules keep."""
        kept = self.scores >= 0
        return quantile_by_weight(self.scores[kept], self.num_bytes[kept], max_lost_frac)

    def lost(self, min_score: float) -> float:
        """Return the share of the bytes that go, by the rules or by the line."""
        return float(self.num_bytes[self.scores < min_score].sum() / self.num_bytes.sum())


def _row(found: Mapping[str, _Judged], own: _Judged, max_lost_frac: float) -> dict[str, Any]:
    min_score = own.line(max_lost_frac) if max_lost_frac else 0.0
    row = {
        "max_lost_frac": max_lost_frac,
        "min_score": min_score,
        "posts kept": float((found[FORUM].scores >= min_score).mean()),
        "pages lost": found["pages"].lost(min_score),
    }
    return row | {name[4:]: found[name].lost(min_score) for name in (*PAGES, *OTHERS)}


def _half(file: TextFile, which: int) -> TextFile:
    index = half(np.arange(len(file.texts), dtype=np.float64), which).astype(np.int64)
    names = ("rejected", "languages", "bad_clusters_frac")
    columns = {name: getattr(file, name)[index] for name in names}
    return replace(file, texts=file.texts.take(pa.array(index)), **columns)
