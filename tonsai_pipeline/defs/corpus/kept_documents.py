"""kept_documents: what stays after duplicates, evaluation text and lines that many documents share."""

from tonsai_pipeline.defs.stage_asset import Page

PAGE = Page(
    "The final keep-lists, one a dump. With `dedup.repetition.enabled`, documents that are mostly lines of many others "
    "(menus, notices) are dropped as well.",
    docs="dedup.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
)
