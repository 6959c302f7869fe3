"""kept_documents: what stays after duplicates, evaluation text and lines that many documents share."""

from collections.abc import Iterator, Mapping
from typing import Any

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.samples import EXCERPT_CHARS, before_and_after, first_rows, text_of
from tonsai_pipeline.defs.stage_asset import Made, Page
from tonsai_pipeline.schema import DedupReason, DumpKey

#: Documents on the page of each dump: as many that leave, and as many that stay.
_NUM_OF_DUMP = 2
_DROPS = ("num_exact", "num_near", "num_contaminated", "num_boilerplate")


def _pictures(made: Made) -> dict[str, Any]:
    dumps = made.report["by_dump"].values()
    drops = {name.removeprefix("num_"): sum(dump[name] for dump in dumps) for name in _DROPS}
    return {
        "drops": bar_chart(drops, title="Dropped, by reason", unit="documents"),
        **before_and_after(["document", "before", "after"], _samples(made)),
    }


def _samples(made: Made) -> Iterator[tuple[str, str, str]]:
    """Yield documents of each dump, those that leave first, with what stands for them."""
    for dump, kept in made.read("kept").items():
        for row in first_rows(kept.parts("dropped"), _NUM_OF_DUMP):
            text = _begins(made, dump, row["part"], row["row_in_part"])
            yield row["doc_id"], text, f"leaves: {_why(made, row)}"
        for row in first_rows(kept.parts(), _NUM_OF_DUMP):
            text = _begins(made, dump, row["part"], row["row_in_part"])
            num = row["group_size"]
            yield row["doc_id"], text, f"stays for {num:,} alike" if num > 1 else "stays"


def _why(made: Made, row: Mapping[str, Any]) -> str:
    """Say why a document leaves, with the text that is kept instead of it."""
    frac = row["similarity"]
    if row["reason"] == DedupReason.CONTAMINATED:
        return f"holds {frac:.0%} of {row['evaluation_item']}"
    if row["reason"] == DedupReason.BOILERPLATE:
        return f"{frac:.0%} of it are lines of many documents"
    place = DumpKey(row["kept_dump"]), row["kept_part"], row["kept_row_in_part"]
    return f"{frac:.0%} like {row['kept_doc_id']}: {_begins(made, *place)}"


def _begins(made: Made, dump: DumpKey, part: str, row: int) -> str:
    normalized = made.builder.build("normalized_documents", dump)
    return text_of(normalized, part, row)[:EXCERPT_CHARS]


PAGE = Page(
    "The final keep-lists, one a dump. With `dedup.repetition.enabled`, documents that are mostly lines of many others "
    "(menus, notices) are dropped as well.",
    docs="dedup.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    pictures=_pictures,
)
