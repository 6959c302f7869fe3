"""scored_documents: a quality score for every surviving document, and why some were dropped."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart, heat_map, small_histograms
from tonsai_pipeline.defs.results import check, table
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.stages.score.stage import drift
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.store import Artifact

#: Characters of a document in the table for reading: two lines of a wide screen.
_EXCERPT_CHARS = 240
#: Sources in a picture; one that is asked for by nobody would be too small to read.
_MAX_PANELS = 40
#: Reasons in the picture of sources and reasons, the most frequent ones.
_MAX_REASONS = 10


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    report, max_drift = made.report, made.recipe.quality.max_drift
    kept = report["num_kept"]
    dropped = report["num_documents"] - kept
    yield check("something_stays", kept > 0, f"{kept:,} kept, {dropped:,} dropped")
    moved = drift(made.before.report, report) if made.before else {}
    far = {name: value for name, value in moved.items() if value > max_drift}
    said = ", ".join(f"{name} {value:.3g}" for name, value in far.items())
    yield check(
        "scores_are_steady",
        not far,
        f"population stability index above {max_drift:g}: {said}"
        if far
        else f"{len(moved)} sources compared, largest index {max(moved.values(), default=0):.3g}",
        warn=True,
        largest=max(moved.values(), default=0.0),
    )


def _pictures(made: Made) -> dict[str, Any]:
    """Draw scores by source and drops by reason, and lay out documents for reading."""
    by_source = made.report["by_source"]
    there = {name: source for name, source in by_source.items() if source["num_documents"]}
    shown = dict(list(there.items())[:_MAX_PANELS])
    reasons = made.report["dropped_by_reason"]
    found: dict[str, Any] = {}
    if shown:
        num_bins = len(next(iter(shown.values()))["picture"]["kept"])
        found["scores"] = small_histograms(
            {
                name: {side: source["picture"][side] for side in ("kept", "dropped")}
                for name, source in shown.items()
            },
            [index / num_bins for index in range(num_bins + 1)],
            title="Documents by score",
            unit="score",
        )
    if reasons:
        ranked = dict(sorted(reasons.items(), key=lambda item: -item[1]))
        found["drops"] = bar_chart(ranked, title="Dropped, by reason", unit="documents")
        columns = list(ranked)[:_MAX_REASONS]
        rows = [name for name, source in shown.items() if source["dropped_by_reason"]]
        values = [_dropped_percent(shown[row], columns) for row in rows]
        title = "Dropped by source and reason, % of its documents"
        found["drops_by_source"] = heat_map(rows, columns, values, title=title)
    return found | _to_read(made.artifact)


def _dropped_percent(source: Mapping[str, Any], reasons: list[str]) -> list[float]:
    """Return the percentage of a source's documents that was dropped for each reason."""
    dropped, total = source["dropped_by_reason"], max(1, source["num_documents"])
    return [round(100 * dropped.get(reason, 0) / total, 1) for reason in reasons]


def _to_read(artifact: Artifact) -> dict[str, dg.MarkdownMetadataValue]:
    """Lay out up to ten documents of each decile of the score, a table a language."""
    documents = cast("dict[str, list[dict[str, Any]]]", read_json(artifact.file("to_read.json")))
    header = ["decile", "score", "dropped for", "document", "begins"]
    return {
        f"to_read_{language}": dg.MetadataValue.md(
            table(
                header,
                [
                    [
                        entry["decile"] + 1,
                        entry["score"],
                        entry["drop_reason"] or "",
                        entry["doc_id"],
                        entry["excerpt"][:_EXCERPT_CHARS],
                    ]
                    for entry in entries
                ],
            )
        )
        for language, entries in documents.items()
    }


PAGE = Page(
    "A score in [0, 1] and, for documents that are not trained on, the fact that decided it.",
    docs="quality.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("something_stays", "Good documents are left", blocking=True),
        CheckSpec(
            "scores_are_steady",
            "No source's scores moved far since the last materialization",
        ),
    ),
    checks=_checks,
    pictures=_pictures,
)
