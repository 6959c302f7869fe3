"""raw_documents[dump] -> normalized_documents[dump]: canonical Unicode, language, encoding counts.

    part-*.parquet ──convert, normalize, label──▶ part-*.parquet            same rows, same order, same part names
                        └─ mostly legacy font or garbage, or empty ──▶ rejected/part-*.parquet   with a reason

The rules are those of the `text` package; nothing here knows Khmer.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.lineage import Fields, Stage, Table, same_dump
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import NormalizeConfig, Source
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS, REJECTED_DOCUMENTS
from tonsai_pipeline.stages.normalize.legacy import (
    LegacyCounts,
    convert_legacy,
    read_tables,
    without_layout,
)
from tonsai_pipeline.storage.documents import read_batches, write_part
from tonsai_pipeline.storage.files import link_or_copy
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text import (
    NORMALIZER_VERSION,
    LanguageModel,
    label_batch,
    normalize_batch_report,
    paragraph_bytes,
)
from tonsai_pipeline.text.legacy import RULES_VERSION, FontTable, shipped_tables
from tonsai_pipeline.text.ngrams import NGRAMS_VERSION

#: Pairs of documents before and after that are kept for the eyes.
_NUM_SAMPLES = 5
_SAMPLE_CHARS = 300


@dataclass(frozen=True)
class NormalizeReport:
    """What normalization did to one dump.

    Args:
        num_documents: Documents kept.
        num_rejected: Documents that went to `rejected/`.
        num_bytes: Text kept, in bytes.
        num_changed: Documents that normalization changed.
        num_clusters: Khmer clusters of all documents, after normalization; likewise the next two.
        num_orphan_marks: Vowels and signs without a base.
        num_invalid_clusters: Clusters that are no Modern Khmer syllable.
        num_left_as_typed: Syllables that no repair would mend without changing what follows them.
        num_zwsp: Zero-width spaces, before normalization.
        zwsp_per_cluster: How much a source marks its words; 0 where it types none.
        damaged_per_million: Orphan marks and invalid clusters per million clusters.
        num_cut: Kept documents that lost damaged lines (`text.legacy_fonts`).
        num_bytes_cut: What they lost, in bytes.
        rejected_by_reason: Rejected documents.
        lines_cut_by_reason: Lines cut out of kept documents.
        documents_by_language: Kept documents.
        mixed_bytes_by_language: What the paragraphs of the mixed documents are written in.
        repairs_by_rule: How often each rule applied.
        samples: Some documents before and after.
        legacy: What became of text in legacy fonts (`LegacyCounts`); all zero where the source does not convert it.
    """

    num_documents: int
    num_rejected: int
    num_bytes: int
    num_changed: int
    num_clusters: int
    num_orphan_marks: int
    num_invalid_clusters: int
    num_left_as_typed: int
    num_zwsp: int
    zwsp_per_cluster: float
    damaged_per_million: float
    num_cut: int
    num_bytes_cut: int
    rejected_by_reason: Mapping[str, int]
    lines_cut_by_reason: Mapping[str, int]
    documents_by_language: Mapping[str, int]
    mixed_bytes_by_language: Mapping[str, int]
    repairs_by_rule: Mapping[str, int]
    samples: list[Mapping[str, str]]
    legacy: Mapping[str, Any]


def normalize(
    raw: Artifact,
    folder: Path,
    *,
    streamed: Artifact | None,
    source: Source,
    config: NormalizeConfig,
    engine: Engine,
) -> NormalizeReport | Mapping[str, Any]:
    """Normalize every part of a dump, or take those of a streamed one.

    Args:
        raw: The dump's raw_documents.
        folder: The building folder.
        streamed: The documents of a streamed dump, normalized when they were read.
        source: The dump's source: whether legacy fonts are converted, and with which tables.
        config: The recipe's `normalize` section.
        engine: Where parts are processed.

    Raises:
        RecipeError: A table of legacy fonts is none.
    """
    if streamed is not None:
        link_or_copy(streamed.path / "normalized", folder)
        return streamed.report["normalized"]
    tables = tables_of(source)
    parts = [Part(path.stem, PartTask(path, config, tables)) for path in raw.parts()]
    results = map_parts(engine, normalize_part, parts, folder=folder, label="normalize")
    return make_report(results)


def tables_of(source: Source) -> tuple[FontTable, ...] | None:
    """Return the tables of legacy fonts; None where the source does not convert them.

    Raises:
        RecipeError: One of them is none.
    """
    return read_tables(source.legacy_tables) if source.legacy_fonts == "convert" else None


def make_report(results: list[dict[str, Any]]) -> NormalizeReport:
    """Add up what was counted of all parts, in their order."""
    samples = [sample for result in results for sample in result["samples"]]
    sums = {name: sum(result[name] for result in results) for name in _SUMS}
    seen = {name: sum(result["measured"].get(name, 0) for result in results) for name in _MEASURED}
    legacy = LegacyCounts()
    for result in results:
        legacy.add(result["legacy"])
    num_damaged = seen["num_orphan_marks"] + seen["num_invalid_clusters"]
    return NormalizeReport(
        **sums,
        **seen,
        zwsp_per_cluster=seen["num_zwsp"] / max(1, seen["num_clusters"]),
        damaged_per_million=num_damaged * 1e6 / max(1, seen["num_clusters"]),
        rejected_by_reason=_total(results, "rejected_by_reason"),
        lines_cut_by_reason=_total(results, "lines_cut_by_reason"),
        documents_by_language=_total(results, "documents_by_language"),
        mixed_bytes_by_language=_total(results, "mixed_bytes_by_language"),
        repairs_by_rule=_total(results, "repairs_by_rule"),
        samples=samples[:_NUM_SAMPLES],
        legacy=legacy.as_json(),
    )


@dataclass(frozen=True)
class PartTask:
    """A part of raw documents, and how it is normalized; `tables` is None where legacy fonts are not converted."""

    path: Path
    config: NormalizeConfig
    tables: tuple[FontTable, ...] | None


def normalize_part(task: PartTask, folder: Path) -> dict[str, Any]:
    """Normalize one part, one row group at a time, and return what was counted."""
    path = task.path
    totals = _Totals()
    rejected: list[pa.RecordBatch] = []

    def kept() -> Any:
        for batch in read_batches(path):
            good, bad = _normalize_batch(batch, task, totals)
            if bad.num_rows:
                rejected.append(bad)
            yield good

    write_part(folder / path.name, kept(), NORMALIZED_DOCUMENTS)
    if rejected:
        write_part(folder / "rejected" / path.name, rejected, REJECTED_DOCUMENTS)
    return totals.as_json()


@dataclass
class _Totals:
    """Counts of one part; `measured` has the names of `_MEASURED`."""

    num_documents: int = 0
    num_rejected: int = 0
    num_bytes: int = 0
    num_changed: int = 0
    measured: Counter[str] = field(default_factory=Counter)
    num_cut: int = 0
    num_bytes_cut: int = 0
    rejected_by_reason: Counter[str] = field(default_factory=Counter)
    lines_cut_by_reason: Counter[str] = field(default_factory=Counter)
    documents_by_language: Counter[str] = field(default_factory=Counter)
    mixed_bytes_by_language: Counter[str] = field(default_factory=Counter)
    repairs_by_rule: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, str]] = field(default_factory=list)
    legacy: LegacyCounts = field(default_factory=LegacyCounts)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        plain = {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}
        return {**plain, "legacy": self.legacy.as_json()}

    def count(self, kept: pa.Table, rejected: pa.Table) -> None:
        """Add a batch's documents."""
        self.num_documents += kept.num_rows
        self.num_rejected += rejected.num_rows
        self.num_bytes += pc.sum(kept.column("num_bytes")).as_py() or 0
        self.rejected_by_reason.update(rejected.column("reason").to_pylist())
        self.documents_by_language.update(kept.column("lang").to_pylist())

    def count_paragraphs(self, kept: pa.Table, model: LanguageModel | None) -> None:
        """Add what the mixed pages of a batch are made of."""
        pages = kept.filter(pc.equal(kept.column("lang"), "mixed")).column("text")
        self.mixed_bytes_by_language.update(paragraph_bytes(pages, model))

    def count_cuts(
        self, lines: Mapping[str, npt.NDArray[np.int32]], num_bytes: npt.NDArray[np.int64]
    ) -> None:
        """Add the damaged lines that were cut out of documents that stay."""
        self.num_bytes_cut += int(num_bytes.sum())
        self.num_cut += int((num_bytes > 0).sum())
        for reason, counts in lines.items():
            if counts.any():
                self.lines_cut_by_reason[reason] += int(counts.sum())

    def count_repairs(self, before: pa.Array, after: pa.Array, seen: pa.StructArray) -> None:
        """Add a batch's repairs, and keep the first changed documents as samples."""
        changed = pc.not_equal(before, after)
        self.num_changed += pc.sum(changed).as_py() or 0
        for name in (f.name for f in seen.type):
            counter = self.measured if name in _MEASURED else self.repairs_by_rule
            counter[name] += pc.sum(seen.field(name)).as_py() or 0
        missing = _NUM_SAMPLES - len(self.samples)
        for row in np.flatnonzero(changed.to_numpy(zero_copy_only=False))[:missing]:
            self.samples.append(_sample(before[row].as_py(), after[row].as_py()))


def _normalize_batch(
    raw: pa.RecordBatch, task: PartTask, totals: _Totals
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Split a batch into normalized documents and rejected ones and pages, and count."""
    config = task.config
    model = None if config.lid_model is None else _language_model(str(config.lid_model))
    unconverted, refused = pa.nulls(raw.num_rows, pa.string()), REJECTED_DOCUMENTS.empty_table()
    if task.tables is not None:
        raw, unconverted, refused = convert_legacy(raw, task.tables, totals.legacy)
    before = raw.column("text")
    text, seen = normalize_batch_report(before, config.options())
    whole = text
    (text, damage, cut_lines, cut_bytes), languages, shares = label_batch(text, model)
    reasons = pc.if_else(
        pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0), "empty", damage
    )
    reasons = pc.coalesce(unconverted, reasons)
    columns = {name: raw.column(name) for name in ("doc_id", "source", "dump", "url", "title")}
    columns |= {
        "meta": without_layout(raw.column("meta")),
        "text": text,
        "lang": languages,
        "khmer_frac": shares.field("khmer_frac"),
        "num_bytes": pc.binary_length(text),
        "num_repairs": _row_sum(seen, _rules(seen)),
        **{name: seen.field(name) for name in _COUNTS},
    }
    table = pa.table(columns)
    is_kept = pc.is_null(reasons)
    kept = table.filter(is_kept)
    rejected = pa.table(
        {
            "doc_id": raw.column("doc_id"),
            "reason": reasons,
            "text": before,
            "page": pa.nulls(raw.num_rows, pa.int32()),
            "detail": pa.nulls(raw.num_rows, pa.string()),
        }
    ).filter(pc.invert(is_kept))
    totals.count(kept, rejected)
    totals.count_paragraphs(kept, model)
    totals.count_cuts(cut_lines, cut_bytes)
    totals.count_repairs(before.cast(pa.large_string()), whole, seen)
    bad = pa.concat_tables([rejected.cast(REJECTED_DOCUMENTS), refused])
    return _one_batch(kept), _one_batch(bad)


@lru_cache(maxsize=1)
def _language_model(path: str) -> LanguageModel:
    """Load a fastText model, once a process.

    Raises:
        RecipeError: The file is no fastText model.
    """
    import fasttext

    try:
        return fasttext.load_model(path)
    except ValueError as error:
        raise RecipeError(f"normalize.lid_model: {error}") from error


#: Fields of the normalizer's report that become columns.
_COUNTS = ("num_clusters", "num_zwsp", "num_orphan_marks", "num_invalid_clusters")
#: Fields that are measurements; every other one counts repairs by a rule.
_MEASURED = (*_COUNTS, "num_left_as_typed")
_SUMS = (
    "num_documents",
    "num_rejected",
    "num_bytes",
    "num_changed",
    "num_cut",
    "num_bytes_cut",
)


def _rules(seen: pa.StructArray) -> list[str]:
    return [f.name for f in seen.type if f.name not in _MEASURED]


def _row_sum(seen: pa.StructArray, names: list[str]) -> pa.Array:
    total = pa.array(np.zeros(len(seen), np.int32))
    for name in names:
        total = pc.add(total, pc.cast(seen.field(name), pa.int32()))
    return total


def _sample(before: str, after: str) -> dict[str, str]:
    """Cut both texts around the first difference."""
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    start = max(0, first - 40)
    return {
        "before": before[start : start + _SAMPLE_CHARS],
        "after": after[start : start + _SAMPLE_CHARS],
    }


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _total(results: list[dict[str, Any]], key: str) -> dict[str, int]:
    """Add the counters of all parts; keys in order, so that the report is the same bytes each time."""
    total: Counter[str] = Counter()
    for result in results:
        total.update(result[key])
    return dict(sorted(total.items()))


#: Rules and tables of the conversion.
_LEGACY = "-".join((RULES_VERSION, *(table.id for table in shipped_tables())))

NORMALIZE_VERSION = f"5+text{NORMALIZER_VERSION}+ngrams{NGRAMS_VERSION}+legacy{_LEGACY}"
#: Fields of a source that say how its documents are normalized.
CONVERTED_BY = ("legacy_fonts", "legacy_tables")

STAGE = Stage(
    "normalized_documents",
    version=NORMALIZE_VERSION,
    make=normalize,
    each_dump=True,
    fields={
        "config": Fields("normalize"),
        "source": Fields("source", only=CONVERTED_BY),
    },
    reads={
        "raw": same_dump("raw_documents"),
        "streamed": same_dump("streamed_documents", of=Recipe.streamed_sources),
    },
    table=Table(NORMALIZED_DOCUMENTS, same="raw", made_from={"*": ("raw.text",)}),
)
