"""deduplicated_documents: which documents stay, which left, and because of which twin."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import data_versions, of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart, heat_map
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.deduplicate import STAGE_VERSION, deduplicate, evaluation_inputs
from tonsai_pipeline.storage.store import Artifact


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
                "nothing_is_gutted",
                "No source loses, and no group of duplicates is, more than the allowed share",
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
            | data_versions(normalized, "normalized")
            | evaluation_inputs(recipe.dedup.decontaminate),
            force=config.force,
        )
        return materialized(
            artifact,
            metadata=_plots(artifact),
            checks=list(_checks(artifact, num_dumps=len(signatures))),
        )

    return _asset


def _plots(artifact: Artifact) -> dict[str, dg.MarkdownMetadataValue]:
    """Draw the drop rate of every dump, and which dump's documents repeat which other's."""
    report = artifact.report
    rates = {dump: row["dropped_frac"] for dump, row in report["by_dump"].items()}
    plots = {"dropped": bar_chart(rates, title="Documents dropped", unit="fraction of the dump")}
    rows = [dump for dump, kept in report["matrix"].items() if kept]
    if rows:
        columns = sorted({kept for dump in rows for kept in report["matrix"][dump]})
        sizes = {dump: report["by_dump"][dump]["num_documents"] for dump in rows}
        values = [
            [100 * report["matrix"][dump].get(kept, 0) / sizes[dump] for kept in columns]
            for dump in rows
        ]
        title = "Dropped, % of each dump (row),\nby dump of the kept twin (column)"
        plots["who_repeats_whom"] = heat_map(rows, columns, values, title=title)
    return plots


def _checks(artifact: Artifact, *, num_dumps: int) -> Iterator[dg.AssetCheckResult]:
    joined, violations = len(artifact.report["by_dump"]), artifact.report["violations"]
    yield check("every_dump_is_in", joined == num_dumps, f"{joined} of {num_dumps} dumps")
    yield check(
        "nothing_is_gutted",
        not violations,
        "; ".join(violations) or "no source and no group is above its limit",
    )
