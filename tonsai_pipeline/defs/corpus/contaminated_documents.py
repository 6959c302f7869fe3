"""contaminated_documents: the documents of a dump that hold text of an evaluation set."""

from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import table
from tonsai_pipeline.defs.samples import EXCERPT_CHARS
from tonsai_pipeline.defs.stage_asset import Made, Page


def _pictures(made: Made) -> dict[str, Any]:
    """Lay out the documents that leave beside the items they hold."""
    by_set, examples = made.report["by_set"], made.report["examples"]
    if not examples:
        searched = made.read("evaluation").report["sets"]
        said = f"None holds text of {', '.join(searched)}." if searched else "No set is looked for."
        return {"examples": dg.MetadataValue.md(said)}
    rows = [
        [
            row["doc_id"],
            row["document"][:EXCERPT_CHARS],
            f"leaves: holds {row['overlap_frac']:.0%} of {row['evaluation_set']}/{row['evaluation_item']}",
            row["item_text"][:EXCERPT_CHARS],
        ]
        for row in examples
    ]
    header = ["document", "before", "after", "the item"]
    return {
        "by_set": bar_chart(by_set, title="Documents that hold an item", unit="documents"),
        "examples": dg.MetadataValue.md(table(header, rows)),
    }


PAGE = Page(
    "Documents that hold much of an item of an evaluation set (`dedup.decontaminate`), each with the item. They are "
    "dropped by deduplication.",
    docs="dedup.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    pictures=_pictures,
)
