"""raw_documents: a dump in any known format as document parts; what could not be read is in quarantine."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check, table
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.stages.ingest.report import say_empty, say_losses
from tonsai_pipeline.storage.documents import read_batches
from tonsai_pipeline.storage.space import say_bytes

#: Documents on the page, and characters of each.
_NUM_SAMPLES, _EXCERPT_CHARS = 5, 240
#: Files on the page; the manifest has all.
_MAX_FILES = 100


def _first_documents(made: Made) -> dict[str, Any]:
    """Lay out the first documents, as the dump had them."""
    for part in made.artifact.parts():
        for batch in read_batches(part, ["doc_id", "text"]):
            rows = batch.slice(0, _NUM_SAMPLES).to_pylist()
            shown = [[row["doc_id"], row["text"][:_EXCERPT_CHARS]] for row in rows]
            return {"first_documents": dg.MetadataValue.md(table(["document", "begins"], shown))}
    return {}


def _fetched(made: Made) -> dict[str, Any]:
    """Say of a streamed dump what was read, and what can no longer be made without reading it again."""
    if made.dump is None or made.dump.source not in made.recipe.streamed_sources():
        return {}
    files = made.read("streamed").report["fetched"]
    num_bytes = sum(file["num_bytes"] or 0 for file in files)
    said = (
        f"Not kept (`keep_raw: false`): {len(files):,} files, {say_bytes(num_bytes)}, were read and let go. Normalized "
        "documents, bad rows and all that is made of them stay. Another setting of `ingest`, `normalize` or of how the "
        "source is read, and a new version of the normalizer, fetch the files again."
    )
    rows = [[file["name"], file["num_bytes"], file["sha256"]] for file in files[:_MAX_FILES]]
    listed = table(["file", "num_bytes", "sha256"], rows)
    return {"raw_text": dg.MetadataValue.md(said), "files_read": dg.MetadataValue.md(listed)}


def _pictures(made: Made) -> dict[str, Any]:
    pages = made.report["pages_by_kind"]
    shown = {"pdf_pages": bar_chart(pages, title="Pages of PDFs", unit="pages")} if pages else {}
    return {**_fetched(made), **shown, **_first_documents(made)}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    good, bad = made.report["num_documents"], made.report["num_bad_rows"]
    limits = made.recipe.ingest
    frac = bad / max(1, good + bad)
    yield check("not_empty", good > 0, f"{good:,} documents" if good else say_empty(made.report))
    yield check(
        "few_bad_rows",
        frac <= limits.max_bad_frac,
        f"{bad:,} bad rows ({frac:.2%}, allowed {limits.max_bad_frac:.0%}); see quarantine/",
        warn=True,
        bad_frac=frac,
    )
    found = made.report["max_lost_frac"]
    lost_frac = 1.0 if found is None else found
    yield check(
        "files_read_whole",
        lost_frac <= limits.max_lost_frac,
        say_losses(made.report, limits.max_lost_frac),
        max_lost_frac=lost_frac,
    )


PAGE = Page(
    "One dump as documents, text untouched. Rows that could not be read are in `quarantine/` with file, position "
    "and reason.",
    docs="data.md",
    group="corpus",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec("not_empty", "The dump holds documents", blocking=True),
        CheckSpec("few_bad_rows", "Unreadable rows are few"),
        CheckSpec(
            "files_read_whole", "No stretch of a file is lost beside single rows", blocking=True
        ),
    ),
    checks=_checks,
    pictures=_pictures,
)
