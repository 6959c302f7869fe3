"""deduplicated_documents: which documents stay, which left, and because of which twin."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import data_versions, of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.deduplicate import STAGE_VERSION, deduplicate


def deduplicated_documents(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="deduplicated_documents",
        deps=[
            dg.AssetDep("minhash_signatures", partition_mapping=EVERY_DUMP),
            dg.AssetDep("normalized_documents", partition_mapping=EVERY_DUMP),
            "dump_catalog",
        ],
        group_name="corpus",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, recipe.dedup),
        check_specs=[
            check_spec(
                "deduplicated_documents",
                "every_dump_is_in",
                "Each enabled dump was joined",
                blocking=True,
            ),
            check_spec(
                "deduplicated_documents",
                "no_dump_is_gutted",
                "No dump loses more than the allowed share",
                blocking=True,
            ),
        ],
        description="Keep-lists, one a dump, and a table of the documents that left, each with the earlier "
        "document it repeats. First seen wins, in catalog order; every near duplicate is verified.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        signatures = of_every_dump(store, "minhash_signatures")
        normalized = of_every_dump(store, "normalized_documents")
        artifact = store.materialize(
            "deduplicated_documents",
            None,
            lambda folder: deduplicate(
                signatures,
                normalized,
                folder,
                config=recipe.dedup,
                engine=config.open_engine(),
                store=store,
            ),
            stage_version=STAGE_VERSION,
            settings=recipe.dedup.settings(),
            inputs=data_versions(signatures, "signatures")
            | data_versions(normalized, "normalized"),
            force=config.force,
        )
        rates = {dump: row["dropped_frac"] for dump, row in artifact.report["by_dump"].items()}
        plot = bar_chart(rates, title="Share of documents dropped", unit="fraction of the dump")
        return materialized(
            artifact,
            metadata={"dropped": plot},
            checks=list(_checks(rates, len(signatures), recipe.dedup.max_dropped_frac)),
        )

    return _asset


def _checks(
    rates: dict[str, float], num_dumps: int, max_dropped_frac: float
) -> Iterator[dg.AssetCheckResult]:
    yield check("every_dump_is_in", len(rates) == num_dumps, f"{len(rates)} of {num_dumps} dumps")
    gutted = {dump: rate for dump, rate in rates.items() if rate > max_dropped_frac}
    said = ", ".join(f"{dump} loses {rate:.1%}" for dump, rate in gutted.items())
    yield check(
        "no_dump_is_gutted",
        not gutted,
        f"{said}; allowed {max_dropped_frac:.0%}: look at dropped/ or raise dedup.max_dropped_frac"
        if gutted
        else f"at most {max(rates.values(), default=0):.1%} of a dump dropped",
    )
