"""minhash_signatures: what deduplication needs to know of every document of a dump."""

import dagster as dg

from tonsai_pipeline.defs.partitions import DUMPS
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.sign import STAGE_VERSION, sign


def minhash_signatures(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""
    section = recipe.dedup.signatures

    @dg.asset(
        name="minhash_signatures",
        deps=["normalized_documents"],
        partitions_def=DUMPS,
        group_name="corpus",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, section),
        check_specs=[
            check_spec(
                "minhash_signatures", "one_a_document", "Every document is signed", blocking=True
            )
        ],
        description="MinHash signatures over Khmer clusters and English words, and an exact key, per document.",
    )
    def _asset(
        context: dg.AssetExecutionContext, config: RunOptions, workspace: Workspace
    ) -> dg.MaterializeResult:
        store, dump = workspace.store(recipe), context.partition_key
        normalized = store.current("normalized_documents", dump)
        artifact = store.materialize(
            "minhash_signatures",
            dump,
            lambda folder: sign(normalized, folder, config=section, engine=config.open_engine()),
            stage_version=STAGE_VERSION,
            settings=section.settings(),
            inputs={"normalized_documents": normalized.data_version},
            force=config.force,
        )
        signed, there = artifact.report["num_documents"], normalized.report["num_documents"]
        one_each = check("one_a_document", signed == there, f"{signed:,} signed of {there:,}")
        return materialized(artifact, checks=[one_each])

    return _asset
