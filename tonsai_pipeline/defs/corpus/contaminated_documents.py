"""contaminated_documents: the documents of a dump that hold text of an evaluation set."""

from tonsai_pipeline.defs.stage_asset import Page

PAGE = Page(
    "Documents that hold much of an item of an evaluation set (`dedup.decontaminate`), each with the item. They are "
    "dropped by deduplication.",
    docs="dedup.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
)
