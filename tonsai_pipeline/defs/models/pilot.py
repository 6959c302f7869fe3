"""pilot_points, a small run each partition, and pilot_report: for recipes with a `pilot` section."""

from typing import Any

import dagster as dg

from tonsai_pipeline.defs.asset_words import described, owners, tags
from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import RunOptions
from tonsai_pipeline.defs.results import check, materialized
from tonsai_pipeline.pilot.points import POINTS, Pilot
from tonsai_pipeline.pilot.summary import PAGE_NAME, REPORT, summarize
from tonsai_pipeline.pilot.variant import points_of
from tonsai_pipeline.pipeline import open_builder


def pilot_assets(graph: Graph) -> list[Any]:
    """Return the assets of a recipe's pilot."""
    points = {point.name: point for point in points_of(graph.recipe)}
    partitions = dg.StaticPartitionsDefinition(list(points))

    @dg.asset(
        **_words(
            graph,
            POINTS,
            "A small run of the recipe: less network, less text, more or fewer passes, or another setting. A partition each; "
            "what is finished is not run again.",
        ),
        deps=[graph.key("packed_shards")],
        partitions_def=partitions,
        kinds={"deepspeed"},
        pool="gpu",
    )
    def _points(context: dg.AssetExecutionContext, config: JobOptions) -> dg.MaterializeResult:
        graph.hold(context.run_id)
        own = _pilot(graph, context, config.num_processes)
        point = points[context.partition_key]
        artifact = own.make(point, lambda spec: launch_job(context, spec, config))
        return materialized(artifact)

    @dg.asset(
        **_words(
            graph,
            REPORT,
            "The law that the small runs follow, what is resolved and what is noise, and the prediction of the large run.",
        ),
        deps=[graph.key(POINTS)],
        kinds={"json"},
        check_specs=[
            dg.AssetCheckSpec(
                "has_prediction",
                asset=graph.key(REPORT),
                description="The runs are enough to predict the large one",
            )
        ],
    )
    def _report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        graph.hold(context.run_id)
        artifact = summarize(_pilot(graph, context, 0))
        page = artifact.file(PAGE_NAME).read_text(encoding="utf-8")
        refused = {found["refused"] for found in artifact.report["languages"].values()} - {""}
        return materialized(
            artifact,
            metadata={"pilot": dg.MetadataValue.md(page)},
            checks=[check("has_prediction", not refused, "; ".join(refused) or "yes", warn=True)],
        )

    return [_points, _report]


def pilot_job(graph: Graph) -> Any:
    """Return the job that runs points."""
    return dg.define_asset_job(
        f"{graph.prefix}__pilot",
        selection=dg.AssetSelection.assets(graph.key(POINTS)),
        description="Small runs of the recipe, a partition each; then materialize pilot_report.",
    )


def _words(graph: Graph, name: str, description: str) -> dict[str, Any]:
    return {
        "key": graph.key(name),
        "group_name": "models",
        "owners": owners(graph),
        "tags": tags(graph, each_dump=False, launched=name == POINTS),
        "code_version": "1",
        "description": described(description, "pilot.md"),
    }


def _pilot(graph: Graph, context: dg.AssetExecutionContext, num_processes: int) -> Pilot:
    view = graph.view(of_catalog=True, run_id=context.run_id)
    builder = open_builder(graph.recipe, graph.store, view)
    return Pilot(builder, RunOptions().open_engine, num_processes)
