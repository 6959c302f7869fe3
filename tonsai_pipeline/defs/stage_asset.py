"""A stage's declaration and its page -> a Dagster asset. Everything but words, checks and pictures is derived.

Stage: reads ──▶ deps, partition mappings      fields, version ──▶ code version      name ──▶ key
Page: description, checks, pictures            Graph: recipe, data root, names
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.asset_words import described, owners, table_metadata, tags
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import RunOptions
from tonsai_pipeline.defs.results import materialized
from tonsai_pipeline.errors import ManifestError, TonsaiError
from tonsai_pipeline.lineage import Builder, Stage
from tonsai_pipeline.pipeline import CATALOG, CATALOG_VERSION, PIPELINE, open_builder
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.store import Artifact, Store


@dataclass(frozen=True)
class Made:
    """An artifact, and where to look for what goes with it.

    Args:
        artifact: What was made, or found finished.
        builder: Opens what it was made from.
        dump: Its dump, or None.
        before: What was current before, None if there was nothing.
    """

    artifact: Artifact
    builder: Builder
    dump: DumpKey | None = None
    before: Artifact | None = None

    @property
    def report(self) -> Mapping[str, Any]:
        """What the stage counted."""
        return self.artifact.report

    @property
    def recipe(self) -> Recipe:
        """The settings."""
        return self.builder.recipe

    def read(self, argument: str) -> Any:
        """Open what the stage read under that name."""
        return self.builder.arguments(self.artifact.manifest.asset, self.dump)[argument]


@dataclass(frozen=True)
class CheckSpec:
    """A check of an asset; a failed blocking one keeps what follows from running."""

    name: str
    description: str
    blocking: bool = False


@dataclass(frozen=True)
class Page:
    """What people see of an asset.

    Args:
        description: What it is.
        docs: Page of docs/ that says more.
        group: Group in the graph.
        kinds: Labels of what it is made of.
        specs: Its checks.
        checks: Results of the checks.
        pictures: Plots and tables that stand before the numbers.
    """

    description: str
    docs: str
    group: str
    kinds: frozenset[str]
    specs: Sequence[CheckSpec] = ()
    checks: Callable[[Made], Iterable[dg.AssetCheckResult]] = lambda _: ()
    pictures: Callable[[Made], Mapping[str, Any]] = lambda _: {}

    def blocked(self, made: Made) -> dg.AssetCheckResult | None:
        """Return the first blocking check that fails."""
        blocking = {spec.name for spec in self.specs if spec.blocking}
        failed = (c for c in self.checks(made) if not c.passed and c.check_name in blocking)
        return next(failed, None)


Pages = Mapping[str, Page]
"""The pages of all assets by name."""


def is_good(pages: Pages, builder: Builder, name: str, dump: DumpKey, artifact: Artifact) -> bool:
    """Tell whether a finished artifact of a dump passes the checks that block."""
    return pages[name].blocked(Made(artifact, builder, dump)) is None


Prepare = Callable[[dg.AssetExecutionContext, RunOptions], Iterable[Any]]
"""Does what must be done before an asset of the corpus is made, and yields what to tell Dagster of it."""

Launch = Callable[[dg.AssetExecutionContext, Any, Builder, str, Path, Mapping[str, Any]], Any]
"""Does the work of a launched stage: context, options, builder, key, building folder, arguments -> report."""


def stage_asset(
    graph: Graph,
    stage: Stage,
    page: Page,
    pages: Pages,
    *,
    prepare: Prepare,
    launch: Launch | None = None,
    options: type[dg.Config] = RunOptions,
) -> dg.AssetsDefinition:
    """Return the asset of a stage.

    Args:
        graph: The recipe and its place.
        stage: The declaration.
        page: What people see.
        pages: The pages of all assets: those of single dumps are made on the way, and checked.
        prepare: Brings the dumps up to date before an asset of the corpus is made.
        launch: Does the work of a launched stage.
        options: The launch form.
    """
    key = graph.key(stage.name)

    @dg.asset(
        key=key,
        deps=_dependencies(graph, stage),
        partitions_def=graph.dumps if stage.each_dump else None,
        group_name=page.group,
        kinds=set(page.kinds),
        owners=owners(graph),
        tags=tags(graph, each_dump=stage.each_dump, launched=stage.launched),
        metadata=table_metadata(graph, stage.name),
        pool="gpu" if stage.launched else None,
        code_version=PIPELINE.code_version(stage.name, graph.recipe),
        check_specs=[
            dg.AssetCheckSpec(
                name=spec.name, asset=key, description=spec.description, blocking=spec.blocking
            )
            for spec in page.specs
        ],
        description=described(page.description, page.docs),
    )
    def _asset(context: dg.AssetExecutionContext, config: options) -> Iterator[Any]:  # pyright: ignore[reportInvalidTypeForm]
        graph.hold(context.run_id)
        if isinstance(config, RunOptions) and not stage.each_dump and stage.of_recipe is None:
            yield from prepare(context, config)
        dump = DumpKey(context.partition_key) if stage.each_dump else None
        builder = open_builder(
            graph.recipe,
            graph.store,
            graph.view(of_catalog=dump is None, run_id=context.run_id),
            engine=getattr(config, "open_engine", RunOptions().open_engine),
            on_made=_Report(context, graph, pages),
        )
        before = _current(graph.store, stage.name, dump)
        make = None if launch is None else _launching(launch, context, config, builder, stage)
        artifact = builder.build(stage.name, dump, force=config.force, make=make)
        yield shown(graph, page, Made(artifact, builder, dump, before))

    return _asset


def shown(graph: Graph, page: Page, made: Made) -> dg.MaterializeResult:
    """Return what people see of an artifact, however it was made."""
    name = made.artifact.manifest.asset
    return materialized(
        made.artifact,
        data_version=_shown_version(PIPELINE[name], made.artifact),
        metadata={**page.pictures(made), **table_metadata(graph, name)},
        checks=list(page.checks(made)),
    )


def as_event(
    graph: Graph, asset: str, result: dg.MaterializeResult, dump: DumpKey | None
) -> dg.AssetMaterialization:
    """Return the event by which a run tells of an artifact that is not its own step's."""
    assert result.data_version is not None, "`materialized` names it"
    code = CATALOG_VERSION if asset == CATALOG else PIPELINE.code_version(asset, graph.recipe)
    return dg.AssetMaterialization(
        graph.key(asset),
        partition=dump,
        metadata=result.metadata,
        tags={
            **(result.tags or {}),
            "dagster/data_version": result.data_version.value,
            "dagster/code_version": code,
        },
    )


def _launching(
    launch: Launch,
    context: dg.AssetExecutionContext,
    config: dg.Config,
    builder: Builder,
    stage: Stage,
) -> Callable[..., Any]:
    """Return the work of a launched stage, with its key, which names its checkpoints.

    Raises:
        ManifestError: What it reads is not made.
    """
    builder.arguments(stage.name)
    key = builder.key(stage.name)
    assert key is not None, "everything it reads was just opened"

    def make(*, folder: Path, engine: Any, **arguments: Any) -> Any:
        del engine
        return launch(context, config, builder, key, folder, arguments)

    return make


def _dependencies(graph: Graph, stage: Stage) -> list[dg.AssetDep]:
    """Return the assets that a stage reads; one made a dump is read in every dump by one that is not."""
    if stage.name == PIPELINE.assets()[0].name:
        return [dg.AssetDep(graph.key("raw_dumps"))]
    found = []
    for name, each_dump in PIPELINE.upstream_assets(stage.name, graph.recipe).items():
        is_all = each_dump and not stage.each_dump
        mapping = dg.AllPartitionMapping() if is_all else None
        found.append(dg.AssetDep(graph.key(name), partition_mapping=mapping))
    # A mapping without fields is an empty tuple, which is false.
    if any(dep.partition_mapping is not None for dep in found):
        found.append(dg.AssetDep(graph.key(CATALOG)))
    return found


def _shown_version(stage: Stage, artifact: Artifact) -> str:
    """Name all that others read of an asset, so that Dagster calls them stale when an inner result is another.

    A sum of many dumps may be the same although a dump is not.
    """
    inner = {
        argument: artifact.manifest.inputs[argument]
        for argument, read in stage.reads.items()
        if argument in artifact.manifest.inputs
        and read.stage
        and PIPELINE[read.stage].part_of == stage.name
    }
    return digest_json([artifact.data_version, inner]) if inner else artifact.data_version


def _current(store: Store, asset: str, dump: DumpKey | None) -> Artifact | None:
    try:
        return store.current(asset, dump)
    except ManifestError:
        return None


@dataclass(frozen=True)
class _Report:
    """Tells Dagster of the artifacts of single dumps that an asset of the corpus made on the way."""

    context: dg.AssetExecutionContext
    graph: Graph
    pages: Pages

    def __call__(
        self, builder: Builder, stage: Stage, dump: DumpKey | None, artifact: Artifact
    ) -> None:
        """Log the materialization of what was made, and stop where a blocking check fails."""
        page, made = self.pages[stage.name], Made(artifact, builder, dump)
        failed = page.blocked(made)
        if failed is not None:
            raise TonsaiError(f"{stage.name}[{dump}].{failed.check_name}: {failed.description}")
        if not artifact.cached:
            result = shown(self.graph, page, made)
            self.context.log_event(as_event(self.graph, stage.name, result, dump))
