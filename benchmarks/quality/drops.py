"""The default recipe over every file -> what stays, what is dropped and why, and what a classifier adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality.corpus import CLEAN, JUNK, TextFile, read_files
from tonsai_pipeline.quality.rules import Limits, judge
from tonsai_pipeline.quality.signals import Signals, measure
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.recipe.sources import Kind
from tonsai_pipeline.schema import Language

_DEFAULT = QualityConfig()
#: Files that are no pages.
KINDS: dict[str, Kind] = {
    "khm/dictionary": "lexicon",
    "khm/ntrex128": "sentences",
    "eng/ntrex128": "sentences",
    "eng/shakespeare": "dialogue",
    "eng/masc": "dialogue",
}
#: Score below which the last column drops: the middle of the calibrated scale.
_MIN_SCORE = 0.5


def measure_drops(data: Path, work: Path) -> list[dict[str, Any]]:
    """Return a row for each file.

    `..._as_kind` says what the file loses where its source declares the kind that it is (`KINDS`). The classifiers of
    `..._with_min_score` are trained on no clean file.
    """
    from benchmarks.quality import (
        classifier,  # it imports the stages, which `labels` can do without
    )

    files = read_files(data)
    junk = [name for names in classifier.KINDS.values() for name in names]
    models = {
        lang: classifier.train(lang, classifier.GOOD[1], junk, files, work)
        for lang in classifier.LANGUAGES
    }
    return [_row(file, models) for file in files.values()]


def verdict(file: TextFile, kind: Kind = "prose") -> npt.NDArray[np.object_]:
    """Return why each document is dropped, by the normalizer or by the default limits; None for those that stay."""
    signals, by = measure(file.texts), file.judged_as()
    reasons = np.full(len(by), None, dtype=object)
    for lang in ("khm", "eng"):
        mine = np.flatnonzero(by == lang)
        limits = Limits.of(_DEFAULT.of(lang, kind))
        bad = file.bad_clusters_frac[mine]
        reasons[mine] = judge(Signals(signals.values[mine]), limits, bad_clusters_frac=bad)
    wrong = (file.languages != file.lang) & (file.languages != Language.MIXED)
    reasons[wrong & (reasons == None)] = "wrong_language"  # noqa: E711 (elementwise)
    reasons[file.rejected] = "rejected_by_normalize"
    return reasons


def _row(file: TextFile, models: Mapping[str, Path]) -> dict[str, Any]:
    kind = KINDS.get(file.name, "prose")
    reasons, of_kind = verdict(file), verdict(file, kind)
    from benchmarks.quality import classifier

    scores = classifier.scores(file, models)["score"]
    gone = reasons != None  # noqa: E711 (elementwise)
    num_bytes = np.array([len(text.encode()) for text in file.texts.to_pylist()])
    gone_as_kind = of_kind != None  # noqa: E711 (elementwise)
    return {
        "file": file.name,
        "truth": "good" if file.name in CLEAN else "junk" if file.name in JUNK else "",
        "documents": len(reasons),
        "kept": int((~gone).sum()),
        "dropped": int(gone.sum()),
        "dropped_frac": float(gone.mean()),
        "bytes_dropped_frac": float(num_bytes[gone].sum() / num_bytes.sum()),
        "kind": kind,
        "dropped_frac_as_kind": float(gone_as_kind.mean()),
        "bytes_dropped_frac_as_kind": float(num_bytes[gone_as_kind].sum() / num_bytes.sum()),
        "dropped_frac_with_min_score": float((gone | (scores < _MIN_SCORE)).mean()),
        "median_score": float(np.median(scores)),
        "reasons": _most_common(reasons[gone]),
        "reasons_as_kind": _most_common(of_kind[gone_as_kind]),
    }


def _most_common(reasons: npt.NDArray[np.object_]) -> str:
    counts = Counter(str(reason) for reason in reasons).most_common(3)
    return ", ".join(f"{reason} {count}" for reason, count in counts)
