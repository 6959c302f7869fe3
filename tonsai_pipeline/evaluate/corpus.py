"""Reports of the assets before the model -> the tables of the corpus in the report: funnel, mixture, tokenizer; pure.

{asset: [report, ...]} ──corpus_tables──▶ rows of documents and bytes by source, reasons, shares, fertility
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tonsai_pipeline.metrics.left_out import drop_reasons

Reports = Mapping[str, Any]
#: Pages shown before and after their conversion.
_MAX_SAMPLES = 10


def corpus_tables(corpus: Mapping[str, Sequence[Reports]]) -> dict[str, Any]:
    """Make the tables; one whose reports are not at hand is empty.

    Args:
        corpus: Reports by asset; one for each dump, where an asset has dumps.
    """
    packed, tokenizer = _only(corpus, "packed_shards"), _only(corpus, "tokenizer")
    sources = packed.get("sources", {})
    return {
        "funnel": _funnel(corpus) if corpus.get("raw_documents") else [],
        "reasons": [
            (where, reason, n) for (where, reason), n in drop_reasons(corpus).most_common()
        ],
        "pages": _pages(corpus),
        "converted_pages": _samples(corpus),
        "mixture": [{"source": name, **row} for name, row in sorted(sources.items())],
        "fertility": tokenizer.get("fertility") or {},
        "gpt2_fertility": tokenizer.get("gpt2_fertility") or {},
    }


def _only(corpus: Mapping[str, Sequence[Reports]], asset: str) -> Reports:
    return next(iter(corpus.get(asset, ())), {})


def _funnel(corpus: Mapping[str, Sequence[Reports]]) -> list[dict[str, Any]]:
    """Documents, and bytes where they were counted, after each asset; the width is the share that is left."""
    rows: list[tuple[str, int, int | None]] = [
        (
            "read",
            _sum(corpus, "raw_documents", "num_documents"),
            _sum(corpus, "raw_documents", "num_bytes"),
        ),
        (
            "normalized",
            _sum(corpus, "normalized_documents", "num_documents")
            - _sum(corpus, "normalized_documents", "num_rejected"),
            _sum(corpus, "normalized_documents", "num_bytes"),
        ),
    ]
    by_source = _only(corpus, "deduplicated_documents").get("by_source", {})
    if by_source:
        kept = sum(row["num_documents"] - row["num_dropped"] for row in by_source.values())
        rows.append(("not duplicated", kept, None))
    scored = _only(corpus, "scored_documents").get("by_source", {})
    if scored:
        rows.append(
            (
                "good enough",
                sum(row["num_kept"] for row in scored.values()),
                sum(row["num_bytes_kept"] for row in scored.values()),
            )
        )
    mixed = _only(corpus, "training_mixture").get("by_source", {})
    if mixed:
        rows.append(
            (
                "trained on",
                sum(row["num_documents"] for row in mixed.values()),
                sum(row["num_bytes"] for row in mixed.values()),
            )
        )
    most = max(rows[0][1], 1)
    return [
        {
            "name": name,
            "num_documents": documents,
            "num_bytes": size,
            "width": round(100 * documents / most),
        }
        for name, documents, size in rows
    ]


def _pages(corpus: Mapping[str, Sequence[Reports]]) -> list[tuple[str, str, int]]:
    """Return (where, what became of them, pages) of PDFs and of text in legacy fonts."""
    found: Counter[tuple[str, str]] = Counter()
    for report in corpus.get("raw_documents", ()):
        for kind, count in report.get("pages_by_kind", {}).items():
            found["PDF", kind] += count
    for report in corpus.get("normalized_documents", ()):
        legacy = report.get("legacy", {})
        for family, count in legacy.get("converted_by_family", {}).items():
            found["legacy font", f"converted from {family}"] += count
        for reason, count in legacy.get("refused_by_reason", {}).items():
            found["legacy font", reason] += count
    return [(where, what, n) for (where, what), n in found.items() if n]


def _samples(corpus: Mapping[str, Sequence[Reports]]) -> list[Mapping[str, Any]]:
    """Return some pages before and after their conversion."""
    reports = corpus.get("normalized_documents", ())
    samples = [one for report in reports for one in report.get("legacy", {}).get("samples", ())]
    return samples[:_MAX_SAMPLES]


def _sum(corpus: Mapping[str, Sequence[Reports]], asset: str, name: str) -> int:
    return sum(int(report.get(name, 0)) for report in corpus.get(asset, ()))
