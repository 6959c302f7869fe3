"""normalized_documents: the same documents in canonical Unicode, with language and encoding counts."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _pictures(made: Made) -> dict[str, Any]:
    repairs = {rule: n for rule, n in made.report["repairs_by_rule"].items() if n}
    if not repairs:
        return {}
    return {"repairs": bar_chart(repairs, title="Repairs by rule", unit="places")}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    total = made.read("raw").report["num_documents"]
    kept, rejected = made.report["num_documents"], made.report["num_rejected"]
    yield check("none_lost", kept + rejected == total, f"{kept:,} + {rejected:,} = {total:,}")
    frac = rejected / max(1, total)
    yield check("few_rejected", frac <= 0.5, f"{rejected:,} rejected ({frac:.2%})", warn=True)


PAGE = Page(
    "Khmer in one canonical encoding (Unicode Technical Note 61). Legacy-font text is rejected with a reason, never "
    "trained on.",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("none_lost", "Kept and rejected add up", blocking=True),
        CheckSpec("few_rejected", "Most documents are real text"),
    ),
    checks=_checks,
    pictures=_pictures,
)
