"""training_mixture: the documents that may be trained on, split, with the shares that are wished."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.mix import STAGE_VERSION, mix
from tonsai_pipeline.storage.store import Artifact


def training_mixture(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="training_mixture",
        deps=["scored_documents"],
        group_name="training_data",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, recipe.mixture, recipe.sources),
        check_specs=[
            check_spec(
                "training_mixture",
                "every_language_has_text",
                "Each wished language has training and validation text",
                blocking=True,
            ),
            check_spec(
                "training_mixture", "few_repeats", "No source is read more often than is worth it"
            ),
        ],
        description="Pointers to the documents of both splits, and the wished share of every source in tokens.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        scored = store.current("scored_documents")
        artifact = store.materialize(
            "training_mixture",
            None,
            lambda folder: mix(
                scored,
                folder,
                sources=recipe.sources,
                config=recipe.mixture,
                engine=config.open_engine(),
                store=store,
            ),
            stage_version=STAGE_VERSION,
            settings={
                "mixture": recipe.mixture.settings(),
                "sources": [[s.name, s.lang, s.weight] for s in recipe.sources],
            },
            inputs={"scored_documents": scored.data_version},
            force=config.force,
        )
        return materialized(artifact, metadata=_plots(artifact), checks=list(_checks(artifact)))

    return _asset


def _plots(artifact: Artifact) -> dict[str, dg.MarkdownMetadataValue]:
    rows = artifact.report["by_source"]
    sizes = {name: row["num_bytes"] / 1e6 for name, row in rows.items()}
    epochs = {name: row["estimated_epochs"] for name, row in rows.items()}
    return {
        "text": bar_chart(sizes, title="Training text", unit="MB of UTF-8"),
        "passes": bar_chart(epochs, title="Passes over each source, estimated", unit="passes"),
    }


def _checks(artifact: Artifact) -> Iterator[dg.AssetCheckResult]:
    report = artifact.report
    held_out, warnings = report["num_validation"], report["warnings"]
    empty = [lang for lang, count in held_out.items() if not count]
    yield check(
        "every_language_has_text",
        report["num_documents"] > 0 and bool(held_out) and not empty,
        f"nothing held out: {', '.join(empty)}"
        if empty
        else f"{report['num_documents']:,} documents to train on, held out: {dict(held_out)}",
    )
    yield check(
        "few_repeats", not warnings, "; ".join(warnings) or "no source is stretched", warn=True
    )
