"""instruction_data: conversations of every source, kept, or dropped with the reason."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    lost = [
        f"{name}: {row['num_records']:,} records, {accounted:,} accounted for"
        for name, row in made.report["sources"].items()
        if (accounted := row["num_kept"] + row["num_dropped"] + row["num_bad_rows"])
        != row["num_records"]
    ]
    yield check("no_record_lost", not lost, "; ".join(lost) or "every record is accounted for")
    empty = [name for name, row in made.report["sources"].items() if not row["num_kept"]]
    said = ", ".join(
        f"{name} {row['num_kept'] / row['num_records']:.1%}"
        for name, row in made.report["sources"].items()
    )
    yield check("every_source_gives", not empty, f"kept: {said}", warn=True)


PAGE = Page(
    "Conversations of every instruction set, normalized turn by turn; replies are measured and dropped by reason: refusals, "
    "cut ends, another language than asked for, loops and broken Khmer.",
    docs="tuning.md",
    group="instructions",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("no_record_lost", "Kept, dropped and bad rows are all records", blocking=True),
        CheckSpec("every_source_gives", "Every source has a conversation that is kept"),
    ),
    checks=_checks,
)
