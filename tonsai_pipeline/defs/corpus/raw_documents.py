"""raw_documents: a dump in any known format as document parts; what could not be read is in quarantine."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    good, bad = made.report["num_documents"], made.report["num_bad_rows"]
    max_bad_frac = made.recipe.ingest.max_bad_frac
    frac = bad / max(1, good + bad)
    way_out = "mend the file and run again, or switch the dump off: tonsai dumps remove"
    yield check(
        "not_empty",
        good > 0,
        f"{good:,} documents" if good else f"no readable document, {bad:,} bad rows; {way_out}",
    )
    yield check(
        "few_bad_rows",
        frac <= max_bad_frac,
        f"{bad:,} bad rows ({frac:.2%}, allowed {max_bad_frac:.0%}); see quarantine/",
        warn=True,
        bad_frac=frac,
    )


PAGE = Page(
    "One dump as documents, text untouched. Rows that could not be read are in `quarantine/` with file, position "
    "and reason.",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("not_empty", "The dump holds documents", blocking=True),
        CheckSpec("few_bad_rows", "Unreadable rows are few"),
    ),
    checks=_checks,
)
