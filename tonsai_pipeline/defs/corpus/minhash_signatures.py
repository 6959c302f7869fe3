"""minhash_signatures: what deduplication needs to know of every document of a dump."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    signed = made.report["num_documents"]
    there = made.read("normalized").report["num_documents"]
    yield check("one_a_document", signed == there, f"{signed:,} signed of {there:,}")


PAGE = Page(
    "MinHash signatures over Khmer clusters and English words, and an exact key, per document.",
    docs="dedup.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(CheckSpec("one_a_document", "Every document is signed", blocking=True),),
    checks=_checks,
)
