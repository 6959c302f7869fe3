"""A stage's declaration and its page -> a Dagster asset. Everything but words, checks and pictures is derived.

Stage: reads ──▶ deps, partition mappings      fields, version ──▶ code version      name ──▶ key
Page: description, checks, pictures            Graph: recipe, data root, names
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import materialized
from tonsai_pipeline.errors import ManifestError, TonsaiError
from tonsai_pipeline.lineage import Builder, DumpView, Stage
from tonsai_pipeline.pipeline import (
    CATALOG,
    PIPELINE,
    dumps_of_catalog,
    dumps_on_disk,
    open_builder,
)
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.store import Artifact, Store

#: The dumps that a run sees, from its first step to its last, whatever other runs find meanwhile.
_VIEWS: dict[tuple[str, str, bool], DumpView] = {}


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
        group: Group in the graph.
        kinds: Labels of what it is made of.
        specs: Its checks.
        checks: Results of the checks.
        pictures: Plots and tables that stand before the numbers.
    """

    description: str
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


Launch = Callable[[dg.AssetExecutionContext, Any, Recipe, str, Path, Mapping[str, Any]], Any]
"""Does the work of a launched stage: context, options, recipe, key, building folder, arguments -> report."""


@dataclass(frozen=True)
class Graph:
    """One recipe in the UI: its names, and where its data lies.

    Args:
        recipe: The settings.
        workspace: The place.
    """

    recipe: Recipe
    workspace: Workspace

    @cached_property
    def prefix(self) -> str:
        """The recipe's name as Dagster's names are written: before every asset key, and in other names."""
        return re.sub(r"[^A-Za-z0-9_]", "_", self.recipe.name)

    @cached_property
    def dumps(self) -> dg.DynamicPartitionsDefinition:
        """The partitions of this recipe: `<source>@<YYYYMMDD>`."""
        return dg.DynamicPartitionsDefinition(name=f"{self.prefix}_dumps")

    @cached_property
    def store(self) -> Store:
        """The recipe's store."""
        return self.workspace.store(self.recipe)

    def key(self, asset: str) -> dg.AssetKey:
        """Return an asset's key."""
        return dg.AssetKey([self.prefix, asset])

    def view(self, *, of_catalog: bool, run_id: str = "") -> DumpView:
        """Return the dumps of the catalog, or those on the disk; the same ones through a whole run."""
        name = (run_id, str(self.store.layout.current(CATALOG, None)), of_catalog)
        if not run_id or name not in _VIEWS:
            look = dumps_of_catalog if of_catalog else dumps_on_disk
            view = look(self.recipe, self.store, self.workspace.data_folder())
            if not run_id:
                return view
            _VIEWS[name] = view
        return _VIEWS[name]

    def forget_view(self, run_id: str) -> None:
        """Look again: the run has made a catalog."""
        for of_catalog in (True, False):
            name = (run_id, str(self.store.layout.current(CATALOG, None)), of_catalog)
            _VIEWS.pop(name, None)

    def reader(self, *, of_catalog: bool = True) -> Builder:
        """Return a builder for looking: the artifacts of the recipe as it is and its dumps as they are now."""
        return open_builder(self.recipe, self.store, self.view(of_catalog=of_catalog))


def stage_asset(
    graph: Graph,
    stage: Stage,
    page: Page,
    pages: Mapping[str, Page],
    *,
    launch: Launch | None = None,
    options: type[dg.Config] = RunOptions,
) -> dg.AssetsDefinition:
    """Return the asset of a stage.

    Args:
        graph: The recipe and its place.
        stage: The declaration.
        page: What people see.
        pages: The pages of all assets: those of single dumps are made on the way, and checked.
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
        pool="gpu" if stage.launched else None,
        code_version=PIPELINE.code_version(stage.name, graph.recipe),
        check_specs=[
            dg.AssetCheckSpec(
                name=spec.name, asset=key, description=spec.description, blocking=spec.blocking
            )
            for spec in page.specs
        ],
        description=page.description,
    )
    def _asset(context: dg.AssetExecutionContext, config: options) -> dg.MaterializeResult:  # pyright: ignore[reportInvalidTypeForm]
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
        made = Made(artifact, builder, dump, before)
        return materialized(
            artifact,
            data_version=_shown_version(stage, artifact),
            metadata=page.pictures(made),
            checks=list(page.checks(made)),
        )

    return _asset


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
        return launch(context, config, builder.recipe, key, folder, arguments)

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
        if read.stage and PIPELINE[read.stage].part_of == stage.name
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
    pages: Mapping[str, Page]

    def __call__(
        self, builder: Builder, stage: Stage, dump: DumpKey | None, artifact: Artifact
    ) -> None:
        """Log the materialization of what was made, and stop where a blocking check fails."""
        failed = self.pages[stage.name].blocked(Made(artifact, builder, dump))
        if failed is not None:
            raise TonsaiError(f"{stage.name}[{dump}].{failed.check_name}: {failed.description}")
        if artifact.cached:
            return
        self.context.log_event(
            dg.AssetMaterialization(
                self.graph.key(stage.name),
                partition=dump,
                metadata=materialized(artifact).metadata,
                tags={
                    "dagster/data_version": artifact.data_version,
                    "dagster/code_version": PIPELINE.code_version(stage.name, self.graph.recipe),
                },
            )
        )
