"""training_mixture: the documents that may be trained on, split, with their target shares."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.samples import before_and_after, excerpts, first_rows, text_of
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.stages.mix.texts import dump_parts, read_texts
from tonsai_pipeline.storage.store import Artifact

#: Documents on the page of each dump.
_NUM_OF_DUMP = 2


def _comparison(made: Made) -> Artifact:
    """Compare the splits, once for each mixture."""
    return made.builder.build("split_comparison")


def _pictures(made: Made) -> dict[str, Any]:
    rows = made.report["by_source"]
    sizes = {name: row["num_bytes"] / 1e6 for name, row in rows.items()}
    epochs = {name: row["estimated_epochs"] for name, row in rows.items()}
    shares = {name: row["estimated_share"] for name, row in rows.items()}
    targets = {name: row["share"] for name, row in rows.items()}
    return {
        "split": dg.MetadataValue.json(dict(_comparison(made).report)),
        "shares": bar_chart(
            shares, targets=targets, title="Share of tokens, estimated from bytes", unit="fraction"
        ),
        "text": bar_chart(sizes, title="Training text", unit="MB of UTF-8"),
        "passes": bar_chart(epochs, title="Passes over each source, estimated", unit="passes"),
        **before_and_after(["document", "split", "repeats", "before", "after"], _samples(made)),
    }


def _samples(made: Made) -> Iterator[tuple[str, str, float, str, str]]:
    """Yield documents of each dump as they were normalized, and as they are trained on."""
    for dump, mixed in made.read("mixed").items():
        normalized = made.builder.build("normalized_documents", dump)
        parts = {part.pointers.name: part for part in dump_parts(dump, mixed, normalized)}
        for row in first_rows(mixed.parts(), _NUM_OF_DUMP):
            before = text_of(normalized, row["part"], row["row_in_part"])
            [read] = read_texts(parts[row["part"]], np.array([row["row_in_part"]]))
            shown, after = excerpts(before, read.texts[0].as_py())
            as_it_is = "as it is" if shown == after else after
            yield row["doc_id"], row["split"], row["repeats"], shown, as_it_is


def _split_checks(leaks: Artifact) -> Iterator[dg.AssetCheckResult]:
    report = leaks.report
    same = max(report["num_shared_ids"], report["num_copies"])
    said = (
        f"{report['num_train']:,} training documents against {report['num_validation']:,} held out"
    )
    pairs = "; ".join(
        f"{pair['train']} ~ {pair['validation']} ({pair['similarity']})"
        for pair in report["examples"][:3]
    )
    yield check(
        "splits_are_disjoint", not same, f"{said}: {same} in both" + (f": {pairs}" if same else "")
    )
    near = report["num_near_copies"]
    yield check(
        "splits_are_not_alike",
        not near,
        f"{said}: {near} at {report['min_similarity']:g} or more alike"
        + (f": {pairs}" if near else ""),
        warn=True,
        num_near_copies=near,
    )


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    report = made.report
    held_out, warnings = report["num_validation"], report["warnings"]
    # A tokenizer alone needs none: its recipe holds nothing out.
    wants_some = made.recipe.mixture.validation.frac > 0
    empty = [lang for lang, count in held_out.items() if not count and wants_some]
    yield check(
        "every_language_has_text",
        report["num_documents"] > 0 and bool(held_out) and not empty,
        f"no text held out: {', '.join(empty)}; raise mixture.validation.frac, which is "
        f"{made.recipe.mixture.validation.frac:g}, or add text"
        if empty
        else f"{report['num_documents']:,} documents to train on, held out: {dict(held_out)}",
    )
    yield check(
        "few_repeats", not warnings, "; ".join(warnings) or "no source is stretched", warn=True
    )
    missed = report["shortfalls"]
    yield check(
        "shares_are_feasible",
        not missed,
        "; ".join(missed) or "every source can give its share, as far as bytes tell",
        warn=True,
    )
    yield from _split_checks(_comparison(made))


PAGE = Page(
    "Pointers to the documents of both splits, and the target share of every source in tokens.",
    docs="mixture.md",
    group="training_data",
    kinds=frozenset({"parquet"}),
    specs=(
        CheckSpec(
            "every_language_has_text",
            "Each language with a share has training and validation text",
            blocking=True,
        ),
        CheckSpec(
            "splits_are_disjoint",
            "No held-out document is trained on, nor a copy of one",
            blocking=True,
        ),
        CheckSpec("splits_are_not_alike", "No near copy of a held-out document is trained on"),
        CheckSpec("shares_are_feasible", "Every source and language can give its share"),
        CheckSpec("few_repeats", "No source is read more often than is worth it"),
    ),
    checks=_checks,
    pictures=_pictures,
)
