"""training_mixture: the documents that may be trained on, split, with the shares that are wished."""

from __future__ import annotations

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.mix import STAGE_VERSION, mix


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
                "splits_are_disjoint",
                "No document is in both splits",
                blocking=True,
            ),
            check_spec(
                "training_mixture",
                "every_language_has_text",
                "Each wished language has training and validation text",
                blocking=True,
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
        report = artifact.report
        sizes = {name: row["num_bytes"] / 1e6 for name, row in report["by_source"].items()}
        plot = bar_chart(sizes, title="Training text", unit="MB of UTF-8")
        empty = [lang for lang, row in report["by_language"].items() if not row["is_complete"]]
        return materialized(
            artifact,
            metadata={"text": plot},
            checks=[
                check(
                    "splits_are_disjoint",
                    report["num_in_both_splits"] == 0,
                    f"{report['num_in_both_splits']} documents in both",
                ),
                check(
                    "every_language_has_text",
                    not empty,
                    f"without training or validation text: {', '.join(empty)}"
                    if empty
                    else "all have",
                ),
            ],
        )

    return _asset
