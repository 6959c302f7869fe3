"""normalized_documents: the same documents in canonical Unicode, with language and encoding counts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _pictures(made: Made) -> dict[str, Any]:
    repairs = {rule: n for rule, n in made.report["repairs_by_rule"].items() if n}
    legacy = made.report["legacy"]
    shown: dict[str, Any] = {}
    if repairs:
        shown["repairs"] = bar_chart(repairs, title="Repairs by rule", unit="places")
    if legacy["num_pages"]:
        verdicts = {f"converted: {k}": n for k, n in legacy["converted_by_family"].items()}
        verdicts |= legacy["refused_by_reason"]
        shown["legacy_pages"] = bar_chart(verdicts, title="Pages in legacy fonts", unit="pages")
        shown["legacy_side_by_side"] = dg.MetadataValue.md(_side_by_side(legacy["samples"]))
    return shown


def _side_by_side(samples: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of pages before and after their conversion."""
    rows = ["| page | verdict | before | after |", "|---|---|---|---|"]
    for sample in samples:
        verdict = sample["reason"] or f"{sample['family']}, coverage {sample['coverage_frac']:.2f}"
        cells = (
            f"{sample['doc_id']}, {sample['page']}",
            verdict,
            sample["before"],
            sample["after"],
        )
        rows.append("| " + " | ".join(_cell(str(cell)) for cell in cells) + " |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    total = made.read("raw").report["num_documents"]
    kept, rejected = made.report["num_documents"], made.report["num_rejected"]
    yield check("none_lost", kept + rejected == total, f"{kept:,} + {rejected:,} = {total:,}")
    frac = rejected / max(1, total)
    yield check("few_rejected", frac <= 0.5, f"{rejected:,} rejected ({frac:.2%})", warn=True)


PAGE = Page(
    "Khmer in one canonical encoding (Unicode Technical Note 61). Legacy-font text is rejected with a reason, never "
    "trained on.",
    docs="khmer.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("none_lost", "Kept and rejected add up", blocking=True),
        CheckSpec("few_rejected", "Most documents are real text"),
    ),
    checks=_checks,
    pictures=_pictures,
)
