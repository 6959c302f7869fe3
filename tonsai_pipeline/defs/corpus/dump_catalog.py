"""dump_catalog: which dumps exist and are switched on, in the order that deduplication follows."""

import dagster as dg

from tonsai_pipeline.catalog.catalog import read_catalog
from tonsai_pipeline.defs.asset_words import described, owners, tags
from tonsai_pipeline.defs.inbox import RAW_DUMPS, look_at_inbox
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.results import check, materialized
from tonsai_pipeline.defs.stage_asset import Pages
from tonsai_pipeline.pipeline import CATALOG, CATALOG_VERSION
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.store import Artifact


def raw_dumps(graph: Graph) -> dg.AssetSpec:
    """Return the files that people bring, which no stage makes."""
    return dg.AssetSpec(
        graph.key(RAW_DUMPS),
        partitions_def=graph.dumps,
        group_name="corpus",
        kinds={"file"},
        owners=owners(graph),
        tags=tags(graph, each_dump=True),
        description=described(
            "Files as they were dropped: one partition a dump. Never changed by the pipeline. Its last observation says "
            "where each dump stands: waiting, growing, failed, set aside, in; and what was not understood.",
            "data.md",
        ),
    )


def dump_catalog(graph: Graph, pages: Pages) -> dg.AssetsDefinition:
    """Return the asset of a recipe's catalog."""
    key = graph.key(CATALOG)

    @dg.asset(
        key=key,
        deps=[graph.key(RAW_DUMPS)],
        group_name="corpus",
        kinds={"json"},
        owners=owners(graph),
        tags=tags(graph, each_dump=False),
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
        description=described(
            "The enabled dumps in catalog order (date, then source order); registers their partitions.",
            "data.md",
        ),
    )
    def _asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        graph.hold(context.run_id)
        artifact = graph.publish_catalog()
        graph.forget_view(context.run_id)
        context.instance.add_dynamic_partitions(str(graph.dumps.name), list(read_catalog(artifact)))
        _drop_foreign_partitions(context, str(graph.dumps.name))
        context.log_event(look_at_inbox(graph, pages))
        return show_catalog(graph, artifact)

    return _asset


def show_catalog(graph: Graph, artifact: Artifact) -> dg.MaterializeResult:
    """Return what people see of a catalog."""
    report, num_dumps = artifact.report, artifact.report["num_dumps"]
    none_yet = f"none yet: put <source>@<YYYYMMDD>.jsonl into {graph.store.layout.inbox_place} and run again"
    set_aside = "; ".join(f"{key}: {why}" for key, why in report["set_aside"].items())
    problems = "; ".join(report["problems"])
    return materialized(
        artifact,
        checks=[
            check(
                "has_dumps", num_dumps > 0, f"{num_dumps} dumps enabled" if num_dumps else none_yet
            ),
            check("none_is_set_aside", not set_aside, set_aside or "none", warn=True),
            check("inbox_is_understood", not problems, problems or "all", warn=True),
        ],
    )


def _drop_foreign_partitions(context: dg.AssetExecutionContext, partitions: str) -> None:
    """Remove partitions whose names are no dump keys: Dagster lets anybody add any text."""
    for name in context.instance.get_dynamic_partitions(partitions):
        try:
            DumpKey(name)
        except ValueError as error:
            context.log.warning("partition removed: %s", error)
            context.instance.delete_dynamic_partition(partitions, name)
