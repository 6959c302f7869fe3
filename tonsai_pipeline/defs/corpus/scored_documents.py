"""scored_documents: a quality score for every surviving document, and why some were dropped."""

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import data_versions, of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.score import STAGE_VERSION, score


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
            )
        ],
        description="A score in [0, 1] and, for documents that are not trained on, the fact that decided it.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        normalized = of_every_dump(store, "normalized_documents")
        deduplicated = store.current("deduplicated_documents")
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
        kept = artifact.report["num_kept"]
        dropped = artifact.report["num_documents"] - kept
        reasons = artifact.report["dropped_by_reason"]
        plots = (
            {"drops": bar_chart(reasons, title="Dropped, by reason", unit="documents")}
            if reasons
            else {}
        )
        said = f"{kept:,} kept, {dropped:,} dropped"
        return materialized(
            artifact, metadata=plots, checks=[check("something_stays", kept > 0, said)]
        )

    return _asset
