"""Reports of the assets before the model -> why documents were left out, and where; pure.

{asset: [report, ...]} ──drop_reasons──▶ {(where, reason): documents}, in the order of the pipeline
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tonsai_pipeline.schema import DedupReason

Reports = Mapping[str, Sequence[Mapping[str, Any]]]
"""Reports by asset; one for each dump, where an asset has dumps."""


def drop_reasons(corpus: Reports) -> Counter[tuple[str, str]]:
    """Count the documents that were left out by (where, reason).

    Example:
        >>> dict(drop_reasons({"raw_documents": [{"bad_by_reason": {"no_text": 2}}]}))
        {('read', 'no_text'): 2}
    """
    found: Counter[tuple[str, str]] = Counter()
    for where, reason, count in _counted(corpus):
        found[where, reason] += count
    return +found


def _counted(corpus: Reports) -> Iterator[tuple[str, str, int]]:
    yield from _by_reason("read", corpus.get("raw_documents", ()), "bad_by_reason")
    yield from _by_reason(
        "normalized", corpus.get("normalized_documents", ()), "rejected_by_reason"
    )
    for report in corpus.get("deduplicated_documents", ()):
        for row in report.get("by_dump", {}).values():
            for reason in DedupReason:
                yield "deduplicated", reason.value, row.get(f"num_{reason.value}", 0)
    for report in corpus.get("scored_documents", ()):
        yield from _by_reason("scored", report.get("by_source", {}).values(), "dropped_by_reason")


def _by_reason(
    where: str, rows: Iterable[Mapping[str, Any]], name: str
) -> Iterator[tuple[str, str, int]]:
    for row in rows:
        for reason, count in sorted(row.get(name, {}).items()):
            yield where, reason, count
