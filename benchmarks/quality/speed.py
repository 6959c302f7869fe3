"""Signals, verdict, score and personal data on one core -> MB/s, beside datatrove's filters on the same documents.

datatrove runs Gopher repetition, Gopher quality, C4 and FineWeb quality as its FineWeb pipeline does, one after
the other; a document that one of them drops costs nothing in the next. Its models are loaded before the clock
starts, as our kernels are compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa

from benchmarks.dedup.clock import cpu_s
from benchmarks.quality import classifier
from benchmarks.quality.corpus import TextFile, read_files
from tonsai_pipeline.quality.classifier import Calibration, evidence, num_units_of, raw_scores
from tonsai_pipeline.quality.features import features
from tonsai_pipeline.quality.form import form_log_odds
from tonsai_pipeline.quality.pii import count_pii
from tonsai_pipeline.quality.rules import Limits, judge
from tonsai_pipeline.quality.signals import Signals, measure
from tonsai_pipeline.recipe.quality import ClassifierConfig, QualityConfig

MB = 1e6
#: Documents of a real corpus, pages and paragraphs; help pages and strings of programs left out.
FILES = {
    "khm": ("khm/news", "khm/wikipedia", "khm/web_oscar", "khm/law_ocr_pages", "khm/udhr"),
    "eng": ("eng/abc_news", "eng/state_union", "eng/masc", "eng/debian_handbook"),
}


def measure_speed(data: Path, work: Path, *, peer_kb: int) -> list[dict[str, Any]]:
    """Return a row for each language: our steps on all documents, and both programs on the first of them."""
    files = read_files(data)
    junk = [name for names in classifier.KINDS.values() for name in names]
    return [
        _row(
            lang,
            [files[name] for name in names],
            classifier.train(lang, classifier.GOOD[0], junk, files, work),
            peer_kb,
        )
        for lang, names in FILES.items()
    ]


def _row(lang: str, files: list[TextFile], model: Path, peer_kb: int) -> dict[str, Any]:
    texts = pa.concat_arrays([file.texts for file in files])
    ours = _Ours(lang, model)
    num_bytes = _num_bytes(texts)
    row: dict[str, Any] = {"language": lang, "mb": num_bytes / MB, "documents": len(texts)}
    for name, work in ours.steps(texts).items():
        row[f"{name} MB/s"] = num_bytes / MB / cpu_s(work)[0]
    few = _spread(texts, peer_kb * 1000)
    few_mb = _num_bytes(few) / MB
    peer = few.to_pylist()
    _datatrove(lang, peer[:2])
    peer_s, num_kept = cpu_s(lambda: _datatrove(lang, peer), repeats=1)
    ours_s, _ = cpu_s(lambda: ours.everything(few))
    return row | {
        "peer documents": len(few),
        "peer documents kept": num_kept,
        "ours MB/s on those": few_mb / ours_s,
        "datatrove MB/s": few_mb / peer_s,
        "ratio": peer_s / ours_s,
    }


class _Ours:
    """What `score` does to a batch, step by step."""

    def __init__(self, lang: str, folder: Path) -> None:
        self.limits = Limits.of(QualityConfig().of(lang))
        self.model: Any = fasttext.load_model(str(folder / "model.bin"))
        self.max_units = ClassifierConfig(positives=("a",), negatives=("b",)).max_units

    def steps(self, texts: pa.LargeStringArray) -> dict[str, Callable[[], object]]:
        """Return the steps by name; the first call of each also compiles."""
        signals, lines = measure(texts), features(texts, max_units=self.max_units)
        return {
            "signals": lambda: measure(texts),
            "verdict": lambda: self._judge(signals),
            "features": lambda: features(texts, max_units=self.max_units),
            "fasttext": lambda: raw_scores(self.model, lines),
            "personal data": lambda: count_pii(texts),
            "signals + classifier": lambda: self.everything(texts),
            "all, personal data too": lambda: (self.everything(texts), count_pii(texts)),
        }

    def everything(self, texts: pa.LargeStringArray) -> object:
        """Signals, verdict and score."""
        signals = measure(texts)
        reasons, form = self._judge(signals)
        lines = features(texts, max_units=self.max_units)
        joined = evidence(raw_scores(self.model, lines), form, num_units_of(lines))
        return reasons, Calibration().apply(joined)

    def _judge(self, signals: Signals) -> tuple[object, Any]:
        return judge(signals, self.limits), form_log_odds(signals)


def _datatrove(lang: str, texts: list[str]) -> int:
    """Run datatrove's filters; return how many documents pass all."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from loguru import logger

    logger.remove()
    filters = [
        GopherRepetitionFilter(language=lang),
        GopherQualityFilter(language=lang),
        C4QualityFilter(language=lang, filter_no_terminal_punct=False),
        FineWebQualityFilter(language=lang),
    ]
    return sum(
        all(_passes(each, Document(text=text, id=str(n))) for each in filters)
        for n, text in enumerate(texts)
    )


def _passes(each: Any, document: Any) -> bool:
    said = each.filter(document)
    return said[0] if isinstance(said, tuple) else bool(said)


def _spread(texts: pa.LargeStringArray, num_bytes: int) -> pa.LargeStringArray:
    """Return documents from all over the files, about so many bytes."""
    step = max(1, _num_bytes(texts) // num_bytes)
    return texts.take(pa.array(np.arange(0, len(texts), step)))


def _num_bytes(texts: pa.LargeStringArray) -> int:
    return sum(len(text.encode()) for text in texts.to_pylist())
