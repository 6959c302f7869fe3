"""scored_documents: a quality score for every surviving document, and why some were dropped."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import data_versions, of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart, heat_map, small_histograms
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized, table
from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.score import STAGE_VERSION, drift, score
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.store import Artifact, Store

#: Characters of a document in the table for reading: two lines of a wide screen.
_EXCERPT_CHARS = 240
#: Sources in a picture; one that is asked for by nobody would be too small to read.
_MAX_PANELS = 40
#: Reasons in the picture of sources and reasons, the most frequent ones.
_MAX_REASONS = 10


def scored_documents(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="scored_documents",
        deps=[
            "deduplicated_documents",
            dg.AssetDep("normalized_documents", partition_mapping=EVERY_DUMP),
        ],
        group_name="corpus",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, recipe.quality, recipe.sources),
        check_specs=[
            check_spec(
                "scored_documents", "something_stays", "Good documents are left", blocking=True
            ),
            check_spec(
                "scored_documents",
                "scores_are_steady",
                "No source's scores moved far since the last materialization",
            ),
        ],
        description="A score in [0, 1] and, for documents that are not trained on, the fact that decided it.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        normalized = of_every_dump(store, "normalized_documents")
        deduplicated = store.current("deduplicated_documents")
        before = _last_report(store)
        artifact = store.materialize(
            "scored_documents",
            None,
            lambda folder: score(
                normalized,
                deduplicated,
                folder,
                sources=recipe.sources,
                config=recipe.quality,
                engine=config.open_engine(),
                store=store,
            ),
            stage_version=STAGE_VERSION,
            settings={
                "quality": recipe.quality.settings(),
                "sources": [source.name for source in recipe.sources],
            },
            inputs={"deduplicated_documents": deduplicated.data_version}
            | data_versions(normalized, "normalized"),
            force=config.force,
        )
        checks = _checks(artifact.report, before, max_drift=recipe.quality.max_drift)
        return materialized(artifact, metadata=_pictures(artifact), checks=list(checks))

    return _asset


def _last_report(store: Store) -> Mapping[str, Any] | None:
    """Return the report of the last materialization, None if there is none that can be read."""
    try:
        return store.current("scored_documents").report
    except ManifestError:
        return None


def _checks(
    report: Mapping[str, Any], before: Mapping[str, Any] | None, *, max_drift: float
) -> Iterator[dg.AssetCheckResult]:
    kept = report["num_kept"]
    dropped = report["num_documents"] - kept
    yield check("something_stays", kept > 0, f"{kept:,} kept, {dropped:,} dropped")
    moved = drift(before, report) if before else {}
    far = {name: value for name, value in moved.items() if value > max_drift}
    said = ", ".join(f"{name} {value:.3g}" for name, value in far.items())
    yield check(
        "scores_are_steady",
        not far,
        f"population stability index above {max_drift:g}: {said}"
        if far
        else f"{len(moved)} sources compared, largest index {max(moved.values(), default=0):.3g}",
        warn=True,
        largest=max(moved.values(), default=0.0),
    )


def _pictures(artifact: Artifact) -> dict[str, dg.MarkdownMetadataValue]:
    """Draw scores by source and drops by reason, and lay out documents for reading."""
    by_source = artifact.report["by_source"]
    there = {name: source for name, source in by_source.items() if source["num_documents"]}
    shown = dict(list(there.items())[:_MAX_PANELS])
    reasons = artifact.report["dropped_by_reason"]
    found = {}
    if shown:
        num_bins = len(next(iter(shown.values()))["picture"]["kept"])
        found["scores"] = small_histograms(
            {
                name: {side: source["picture"][side] for side in ("kept", "dropped")}
                for name, source in shown.items()
            },
            [index / num_bins for index in range(num_bins + 1)],
            title="Documents by score",
            unit="score",
        )
    if reasons:
        ranked = dict(sorted(reasons.items(), key=lambda item: -item[1]))
        found["drops"] = bar_chart(ranked, title="Dropped, by reason", unit="documents")
        columns = list(ranked)[:_MAX_REASONS]
        rows = [name for name, source in shown.items() if source["dropped_by_reason"]]
        values = [_dropped_percent(shown[row], columns) for row in rows]
        title = "Dropped by source and reason, % of its documents"
        found["drops_by_source"] = heat_map(rows, columns, values, title=title)
    for language, measured in artifact.report["classifiers"].items():
        if measured["trained"]:
            found[f"classifier_{language}"] = _classifier(measured)
    return found | _to_read(artifact)


def _dropped_percent(source: Mapping[str, Any], reasons: list[str]) -> list[float]:
    """Return the percentage of a source's documents that was dropped for each reason."""
    dropped, total = source["dropped_by_reason"], max(1, source["num_documents"])
    return [round(100 * dropped.get(reason, 0) / total, 1) for reason in reasons]


def _classifier(measured: Mapping[str, Any]) -> dg.MarkdownMetadataValue:
    """Lay out how well a classifier does on what it was not trained on, and what it looks at."""
    auc_by_source = measured["auc_by_source"]
    negatives = list(dict.fromkeys(name for row in auc_by_source.values() for name in row))
    by_source = [
        [name, *(row.get(bad, "") for bad in negatives)] for name, row in auc_by_source.items()
    ]
    deciles = measured["accuracy_by_length"]
    features = measured["telling_features"]
    said = [
        (
            f"AUC {measured['auc']}, calibration error {measured['calibration_error']}, on "
            f"{measured['num_held_out']:,} documents held out of {measured['num_trained']:,}."
        ),
        "AUC of each good source (rows) against each bad one:",
        table(["", *negatives], by_source),
        "Agreement by length, a tenth of the documents a row:",
        table(list(deciles[0]), [list(row.values()) for row in deciles]),
        "Loudest units, by the log-odds of each alone:",
        table(
            ["good", "log-odds", "bad", "log-odds"],
            [[*good, *bad] for good, bad in zip(features["good"], features["bad"], strict=False)],
        ),
    ]
    return dg.MetadataValue.md("\n\n".join(said))


def _to_read(artifact: Artifact) -> dict[str, dg.MarkdownMetadataValue]:
    """Lay out up to ten documents of each decile of the score, a table a language."""
    documents = cast("dict[str, list[dict[str, Any]]]", read_json(artifact.path / "to_read.json"))
    header = ["decile", "score", "dropped for", "document", "begins"]
    return {
        f"to_read_{language}": dg.MetadataValue.md(
            table(
                header,
                [
                    [
                        entry["decile"] + 1,
                        entry["score"],
                        entry["drop_reason"] or "",
                        entry["doc_id"],
                        entry["excerpt"][:_EXCERPT_CHARS],
                    ]
                    for entry in entries
                ],
            )
        )
        for language, entries in documents.items()
    }
