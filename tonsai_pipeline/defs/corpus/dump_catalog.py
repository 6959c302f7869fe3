"""dump_catalog: which dumps exist and are switched on, in the order that deduplication follows."""

import dagster as dg

from tonsai_pipeline.defs.partitions import DUMPS
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.catalog import STAGE_VERSION, find_dumps, read_catalog
from tonsai_pipeline.storage.store import Artifact, Store

RAW_DUMPS = dg.AssetSpec(
    "raw_dumps",
    partitions_def=DUMPS,
    group_name="corpus",
    kinds={"file"},
    description="Files as they were dropped: one partition a dump. Never changed by the pipeline.",
)


def dump_catalog(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="dump_catalog",
        deps=[RAW_DUMPS],
        group_name="corpus",
        kinds={"json"},
        code_version=code_version(STAGE_VERSION, recipe.sources),
        check_specs=[
            check_spec("dump_catalog", "has_dumps", "At least one dump is enabled", blocking=True),
            check_spec(
                "dump_catalog", "inbox_is_understood", "Every inbox file belongs to a source"
            ),
        ],
        description="The enabled dumps in catalog order (date, then source order); registers their partitions.",
    )
    def _asset(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        artifact = publish_catalog(recipe, workspace)
        keys = list(read_catalog(artifact))
        context.instance.add_dynamic_partitions(str(DUMPS.name), keys)
        problems = artifact.report["problems"]
        return materialized(
            artifact,
            checks=[
                check("has_dumps", len(keys) > 0, f"{len(keys)} dumps enabled"),
                check("inbox_is_understood", not problems, "; ".join(problems) or "all", warn=True),
            ],
        )

    return _asset


def publish_catalog(recipe: Recipe, workspace: Workspace) -> Artifact:
    """Look at the sources, the inbox and the registry, and make the catalog current."""
    store = workspace.store(recipe)
    catalog = find_dumps(recipe, store.layout, workspace.data_folder())
    return store.materialize(
        "dump_catalog",
        None,
        catalog.write,
        stage_version=STAGE_VERSION,
        settings=catalog.as_json(),
        inputs={},
    )


def of_every_dump(store: Store, asset: str) -> dict[str, Artifact]:
    """Return an asset's current artifact of every enabled dump, in catalog order.

    Raises:
        ManifestError: A dump has none yet; the message names dump and asset.
    """
    catalog = read_catalog(store.current("dump_catalog"))
    return {key: store.current(asset, key) for key in catalog}


def data_versions(artifacts: dict[str, Artifact], prefix: str) -> dict[str, str]:
    """Name the data version of every dump's artifact, for a fingerprint; catalog order counts."""
    return {
        f"{prefix}/{i:05d}/{key}": artifact.data_version
        for i, (key, artifact) in enumerate(artifacts.items())
    }
