"""normalized_documents: the same documents in canonical Unicode, with language and encoding counts."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.partitions import DUMPS
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.normalize import STAGE_VERSION, normalize, normalize_inputs
from tonsai_pipeline.storage.store import Artifact


def normalized_documents(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="normalized_documents",
        deps=["raw_documents"],
        partitions_def=DUMPS,
        group_name="corpus",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, recipe.normalize),
        check_specs=[
            check_spec(
                "normalized_documents", "none_lost", "Kept and rejected add up", blocking=True
            ),
            check_spec("normalized_documents", "few_rejected", "Most documents are real text"),
        ],
        description="Khmer in one canonical encoding (Unicode Technical Note 61). Legacy-font text is "
        "rejected with a reason, never trained on.",
    )
    def _asset(
        context: dg.AssetExecutionContext, config: RunOptions, workspace: Workspace
    ) -> dg.MaterializeResult:
        store, dump = workspace.store(recipe), context.partition_key
        raw = store.current("raw_documents", dump)
        artifact = store.materialize(
            "normalized_documents",
            dump,
            lambda folder: normalize(
                raw, folder, config=recipe.normalize, engine=config.open_engine()
            ),
            stage_version=STAGE_VERSION,
            settings=recipe.normalize.settings(),
            inputs=normalize_inputs(raw, recipe.normalize),
            force=config.force,
        )
        repairs = {rule: n for rule, n in artifact.report["repairs_by_rule"].items() if n}
        plots = (
            {"repairs": bar_chart(repairs, title="Repairs by rule", unit="places")}
            if repairs
            else {}
        )
        return materialized(artifact, metadata=plots, checks=list(_checks(raw, artifact)))

    return _asset


def _checks(raw: Artifact, artifact: Artifact) -> Iterator[dg.AssetCheckResult]:
    total = raw.report["num_documents"]
    kept, rejected = artifact.report["num_documents"], artifact.report["num_rejected"]
    yield check("none_lost", kept + rejected == total, f"{kept:,} + {rejected:,} = {total:,}")
    frac = rejected / max(1, total)
    yield check("few_rejected", frac <= 0.5, f"{rejected:,} rejected ({frac:.2%})", warn=True)
