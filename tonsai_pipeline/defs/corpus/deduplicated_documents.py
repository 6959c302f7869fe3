"""deduplicated_documents: which documents stay, which are dropped, and which earlier document each of those repeats."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart, heat_map
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _pictures(made: Made) -> dict[str, Any]:
    """Draw the drop rate of every dump, and which dump's documents repeat which other's."""
    report = made.report
    rates = {dump: row["dropped_frac"] for dump, row in report["by_dump"].items()}
    plots = {"dropped": bar_chart(rates, title="Documents dropped", unit="fraction of the dump")}
    rows = [dump for dump, kept in report["matrix"].items() if kept]
    if rows:
        columns = sorted({kept for dump in rows for kept in report["matrix"][dump]})
        sizes = {dump: report["by_dump"][dump]["num_documents"] for dump in rows}
        values = [
            [100 * report["matrix"][dump].get(kept, 0) / sizes[dump] for kept in columns]
            for dump in rows
        ]
        title = "Dropped, % of each dump (row),\nby dump of the kept duplicate (column)"
        plots["who_repeats_whom"] = heat_map(rows, columns, values, title=title)
    return plots


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    violations = made.report["violations"]
    joined, num_dumps = len(made.report["by_dump"]), len(made.builder.dumps.versions)
    yield check("every_dump_is_in", joined == num_dumps, f"{joined} of {num_dumps} dumps")
    yield check(
        "no_source_mostly_dropped",
        not violations,
        "; ".join(violations) or "no source and no group is above its limit",
    )


PAGE = Page(
    "Keep-lists, one a dump, and a table of the documents that left, each with the earlier document it repeats. First "
    "seen wins, in catalog order; every near duplicate is verified.",
    docs="dedup.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("every_dump_is_in", "Each enabled dump was joined", blocking=True),
        CheckSpec(
            "no_source_mostly_dropped",
            "No source loses, and no group of duplicates is, more than the allowed share",
            blocking=True,
        ),
    ),
    checks=_checks,
    pictures=_pictures,
)
