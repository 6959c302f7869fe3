"""dump_catalog: which dumps exist and are switched on, in the order that deduplication follows."""

import dagster as dg

from tonsai_pipeline.catalog.catalog import read_catalog
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.results import check, materialized
from tonsai_pipeline.pipeline import CATALOG, CATALOG_VERSION
from tonsai_pipeline.schema import DumpKey


def raw_dumps(graph: Graph) -> dg.AssetSpec:
    """Return the files that people bring, which no stage makes."""
    return dg.AssetSpec(
        graph.key("raw_dumps"),
        partitions_def=graph.dumps,
        group_name="corpus",
        kinds={"file"},
        description="Files as they were dropped: one partition a dump. Never changed by the pipeline.",
    )


def dump_catalog(graph: Graph) -> dg.AssetsDefinition:
    """Return the asset of a recipe's catalog."""
    key = graph.key(CATALOG)

    @dg.asset(
        key=key,
        deps=[graph.key("raw_dumps")],
        group_name="corpus",
        kinds={"json"},
        code_version=CATALOG_VERSION,
        check_specs=[
            dg.AssetCheckSpec(
                "has_dumps", asset=key, description="At least one dump is enabled", blocking=True
            ),
            dg.AssetCheckSpec(
                "inbox_is_understood", asset=key, description="Every inbox file belongs to a source"
            ),
            dg.AssetCheckSpec(
                "none_is_set_aside",
                asset=key,
                description="No dump is left out after three failures",
            ),
        ],
        description="The enabled dumps in catalog order (date, then source order); registers their partitions.",
    )
    def _asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        graph.hold(context.run_id)
        artifact = graph.publish_catalog()
        graph.forget_view(context.run_id)
        keys = list(read_catalog(artifact))
        context.instance.add_dynamic_partitions(str(graph.dumps.name), keys)
        _drop_foreign_partitions(context, str(graph.dumps.name))
        problems = artifact.report["problems"]
        return materialized(
            artifact,
            checks=[
                check(
                    "has_dumps",
                    len(keys) > 0,
                    f"{len(keys)} dumps enabled"
                    if keys
                    else f"none yet: put <source>@<YYYYMMDD>.jsonl into {graph.store.layout.inbox} and run again",
                ),
                check(
                    "none_is_set_aside",
                    not artifact.report["set_aside"],
                    "; ".join(f"{k}: {why}" for k, why in artifact.report["set_aside"].items())
                    or "none",
                    warn=True,
                ),
                check("inbox_is_understood", not problems, "; ".join(problems) or "all", warn=True),
            ],
        )

    return _asset


def _drop_foreign_partitions(context: dg.AssetExecutionContext, partitions: str) -> None:
    """Remove partitions whose names are no dump keys: Dagster lets anybody add any text."""
    for name in context.instance.get_dynamic_partitions(partitions):
        try:
            DumpKey(name)
        except ValueError as error:
            context.log.warning("partition removed: %s", error)
            context.instance.delete_dynamic_partition(partitions, name)
