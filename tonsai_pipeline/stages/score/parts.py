"""One normalized part and its keep-list -> scored rows, and beside them the signals behind each score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.quality.classifier import Calibration, evidence, num_units_of, raw_scores
from tonsai_pipeline.quality.features import features
from tonsai_pipeline.quality.form import form_log_odds, form_score
from tonsai_pipeline.quality.phrases import Phrases, compile_phrases
from tonsai_pipeline.quality.pii import PATTERNS, count_pii
from tonsai_pipeline.quality.rules import DropReason, Limits, judge
from tonsai_pipeline.quality.signals import Signal, Signals, measure
from tonsai_pipeline.schema import SCORED_DOCUMENTS, Language
from tonsai_pipeline.storage.documents import read_batches, read_part, write_part
from tonsai_pipeline.storage.files import read_json

#: Bins of the histograms that quantiles are taken from.
NUM_BINS = 1000
#: Documents kept for reading, of each twentieth of the score range.
_NUM_SAMPLES = 4
_NUM_SAMPLE_BINS = 20
_SAMPLE_CHARS = 400

_READ = (
    "doc_id",
    "text",
    "source",
    "lang",
    "num_bytes",
    "num_clusters",
    "num_orphan_marks",
    "num_invalid_clusters",
)
#: signals/: one row a scored document, in the same order.
SIGNALS = pa.schema(
    [pa.field(signal.value, pa.float32(), nullable=False) for signal in Signal]
    + [pa.field("bad_clusters_frac", pa.float32(), nullable=False)]
    + [pa.field(f"num_{kind}", pa.int32(), nullable=False) for kind in PATTERNS]
)


@dataclass(frozen=True)
class LanguageRules:
    """What decides about documents of one language.

    Args:
        limits: Limits of the signals.
        min_score: Lowest score that stays.
        phrases: The user's word list.
        classifier: Folder with `model.bin` and `calibration.json`; None: the signals make the score.
    """

    limits: Limits
    min_score: float
    phrases: tuple[str, ...]
    classifier: Path | None


@dataclass(frozen=True)
class ScoreTask:
    """One part.

    Args:
        normalized: The normalized part.
        keep: Its keep-list.
        source_language: Language that the source fills.
        drop_wrong_language: Whether documents of another language are dropped.
        drops: Whether anything is dropped; else documents are scored only.
        rules: By language, `khm` and `eng`.
    """

    normalized: Path
    keep: Path
    source_language: str
    drop_wrong_language: bool
    drops: bool
    rules: Mapping[str, LanguageRules]


def rules_language(language: str) -> str:
    """Return whose rules a document of this language is judged by."""
    return "khm" if language in (Language.KHM, Language.MIXED) else "eng"


def score_part(task: ScoreTask, folder: Path) -> dict[str, Any]:
    """Score one part; write `<part>` and `signals/<part>`; return counts."""
    tally = _Tally()
    scored, signals = [], []
    for batch, group_sizes, rows in kept_batches(task.normalized, task.keep, _READ):
        verdict = _score_batch(batch, task)
        scored.append(_scored_table(batch, verdict, group_sizes, rows))
        signals.append(verdict.table)
        tally.count(batch, verdict)
    write_part(folder / task.normalized.name, scored, SCORED_DOCUMENTS)
    write_part(folder / "signals" / task.normalized.name, signals, SIGNALS)
    return tally.as_json()


def kept_batches(
    normalized: Path, keep: Path, columns: tuple[str, ...]
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Yield the kept documents of a part by row group, with their group sizes and their rows in the part.

    Raises:
        DataError: The keep-list names a row that the part has not.
    """
    kept = read_part(keep, ["row_in_part", "group_size"])
    rows = kept.column("row_in_part").to_numpy()
    sizes = kept.column("group_size").to_numpy()
    base = 0
    for batch in read_batches(normalized, columns):
        here = slice(*np.searchsorted(rows, [base, base + batch.num_rows]))
        chosen = pa.table(batch).take(pa.array(rows[here] - base))
        yield chosen, sizes[here], rows[here]
        base += batch.num_rows
    if len(rows) and rows[-1] >= base:
        raise DataError(
            f"{keep}: keeps row {rows[-1]} of {normalized}, which has {base} rows; "
            "materialize deduplicated_documents again"
        )


@dataclass(frozen=True)
class _Verdict:
    scores: npt.NDArray[np.float32]
    reasons: npt.NDArray[np.object_]
    languages: npt.NDArray[np.object_]  # whose rules were applied
    table: pa.Table


def _score_batch(batch: pa.Table, task: ScoreTask) -> _Verdict:
    texts = batch.column("text")
    language = np.array(batch.column("lang").to_pylist(), dtype=object)
    by = np.array([rules_language(value) for value in language], dtype=object)
    bad = _bad_clusters(batch)
    values = np.zeros((batch.num_rows, len(Signal)), dtype=np.float32)
    scores = np.zeros(batch.num_rows, dtype=np.float32)
    reasons = np.full(batch.num_rows, None, dtype=object)
    for name, rules in task.rules.items():
        mine = np.flatnonzero(by == name)
        if not len(mine):
            continue
        chosen = texts.take(pa.array(mine))
        signals = measure(chosen, listed_words=_phrases(rules.phrases))
        values[mine] = signals.values
        scores[mine] = _scores(signals, chosen, rules)
        found = judge(signals, rules.limits, bad_clusters_frac=bad[mine])
        found[(found == None) & (scores[mine] < rules.min_score)] = DropReason.low_score  # noqa: E711
        reasons[mine] = found
    if task.drop_wrong_language:
        wrong = (language != task.source_language) & (language != Language.MIXED)
        reasons[wrong & (reasons == None)] = DropReason.wrong_language  # noqa: E711
    if not task.drops:
        reasons[:] = None
    columns = Signals(values).table()
    columns = columns.append_column("bad_clusters_frac", pa.array(bad, pa.float32()))
    for kind, counts in count_pii(texts).items():
        columns = columns.append_column(f"num_{kind}", counts)
    return _Verdict(scores, reasons, by, columns)


def _scores(
    signals: Signals, texts: pa.ChunkedArray, rules: LanguageRules
) -> npt.NDArray[np.float32]:
    if rules.classifier is None:
        return form_score(signals)
    model, calibration, max_units = _classifier(rules.classifier)
    lines = features(texts, max_units=max_units)
    joined = evidence(raw_scores(model, lines), form_log_odds(signals), num_units_of(lines))
    return calibration.apply(joined)


@cache
def _classifier(folder: Path) -> tuple[Any, Calibration, int]:
    """Load a classifier once in each worker."""
    settings = cast("dict[str, Any]", read_json(folder / "calibration.json"))
    model = fasttext.load_model(str(folder / "model.bin"))
    return model, Calibration(settings["slope"], settings["offset"]), settings["max_units"]


@cache
def _phrases(phrases: tuple[str, ...]) -> Phrases | None:
    return compile_phrases(phrases) if phrases else None


def _bad_clusters(batch: pa.Table) -> npt.NDArray[np.float64]:
    """Share of clusters that are orphan marks or break the spelling rules."""
    orphans = batch.column("num_orphan_marks").to_numpy()
    invalid = batch.column("num_invalid_clusters").to_numpy()
    return (orphans + invalid) / np.maximum(batch.column("num_clusters").to_numpy(), 1)


def _scored_table(
    batch: pa.Table,
    verdict: _Verdict,
    group_sizes: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
) -> pa.Table:
    return pa.table(
        {
            "doc_id": batch.column("doc_id"),
            "row_in_part": pa.array(rows, pa.int32()),
            "source": batch.column("source"),
            "lang": batch.column("lang"),
            "num_bytes": batch.column("num_bytes"),
            "score": pa.array(verdict.scores, pa.float32()),
            "drop_reason": pa.array(
                [reason and str(reason) for reason in verdict.reasons], pa.string()
            ),
            "group_size": pa.array(group_sizes, pa.int32()),
        }
    )


class _Tally:
    """Counts of one part, as JSON values that add up over parts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.pii: Counter[str] = Counter()
        self.histograms: dict[str, npt.NDArray[np.int64]] = {}
        self.samples: dict[str, list[tuple[int, int, dict[str, Any]]]] = {}

    def count(self, batch: pa.Table, verdict: _Verdict) -> None:
        """Add a batch."""
        num_bytes = batch.column("num_bytes").to_numpy()
        kept = verdict.reasons == None  # noqa: E711 (elementwise)
        self.counts["num_documents"] += batch.num_rows
        self.counts["num_bytes"] += int(num_bytes.sum())
        self.counts["num_kept"] += int(kept.sum())
        self.counts["num_bytes_kept"] += int(num_bytes[kept].sum())
        self.counts["num_with_listed_words"] += int(
            (verdict.table.column(Signal.num_listed_words).to_numpy() > 0).sum()
        )
        self.reasons.update(str(reason) for reason in verdict.reasons[~kept])
        self.languages.update(batch.column("lang").to_pylist())
        for kind in PATTERNS:
            self.pii[kind] += int(verdict.table.column(f"num_{kind}").to_numpy().sum())
        bins = np.minimum((verdict.scores * NUM_BINS).astype(int), NUM_BINS - 1)
        for language in np.unique(verdict.languages):
            for side, chosen in (("kept", kept), ("dropped", ~kept)):
                found = np.bincount(
                    bins[chosen & (verdict.languages == language)], minlength=NUM_BINS
                )
                key = f"{language}/{side}"
                self.histograms[key] = self.histograms.get(key, 0) + found
        self._sample(batch, verdict)

    def _sample(self, batch: pa.Table, verdict: _Verdict) -> None:
        """Keep, of each stretch of scores, the documents whose ids hash lowest: any split gives the same."""
        ids = batch.column("doc_id").to_pylist()
        for row, (doc_id, language, value) in enumerate(
            zip(ids, verdict.languages, verdict.scores, strict=True)
        ):
            hashed = xxhash.xxh3_64_intdigest(doc_id.encode())
            stretch = min(int(value * _NUM_SAMPLE_BINS), _NUM_SAMPLE_BINS - 1)
            held = self.samples.setdefault(f"{language}/{stretch}", [])
            if len(held) == _NUM_SAMPLES and hashed >= held[-1][0]:
                continue
            reason = verdict.reasons[row]
            sample = {
                "doc_id": doc_id,
                "score": round(float(value), 4),
                "drop_reason": reason and str(reason),
                "excerpt": batch.column("text")[row].as_py()[:_SAMPLE_CHARS],
            }
            held.append((hashed, row, sample))
            held.sort(key=lambda entry: entry[:2])
            del held[_NUM_SAMPLES:]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            **self.counts,
            "dropped_by_reason": dict(self.reasons),
            "documents_by_language": dict(self.languages),
            "pii": dict(self.pii),
            "histograms": {key: counts.tolist() for key, counts in self.histograms.items()},
            "samples": {
                key: [[str(hashed), sample] for hashed, _, sample in held]
                for key, held in self.samples.items()
            },
        }
