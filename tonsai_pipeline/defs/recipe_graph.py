"""One recipe in the UI: how its things are called, where its data lies, which dumps a run sees.

Recipe + Workspace ──Graph──▶ keys, partitions, store, views of the dumps, the catalog
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

# Dagster documents these for state-backed definitions and exports them nowhere.
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)

from tonsai_pipeline.catalog.catalog import Catalog, find_dumps
from tonsai_pipeline.defs.alive import hold
from tonsai_pipeline.defs.resources import Workspace, has_instance, open_instance
from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.lineage import Builder, DumpView
from tonsai_pipeline.pipeline import (
    CATALOG,
    CATALOG_VERSION,
    dumps_of_catalog,
    open_builder,
    view_of,
)
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.store import Artifact, Store

#: The dumps that a run sees, from its first step to its last, whatever other runs find meanwhile.
_VIEWS: dict[tuple[str, str, bool], DumpView] = {}


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

    def find_dumps(self, *, reads: bool = True) -> Catalog:
        """Look at the sources, the inbox and the registry; see `catalog.find_dumps`."""
        layout, data_folder = self.store.layout, self.workspace.data_folder()
        return find_dumps(self.recipe, layout, data_folder, reads=reads)

    def view(self, *, of_catalog: bool, run_id: str = "") -> DumpView:
        """Return the dumps of the catalog, or those on the disk; the same ones through a whole run."""
        name = self._view_name(run_id, of_catalog=of_catalog)
        if run_id and name in _VIEWS:
            return _VIEWS[name]
        if of_catalog:
            view = dumps_of_catalog(self.recipe, self.store, self.workspace.data_folder())
        else:
            view = view_of(self.find_dumps())
        if run_id:
            _VIEWS[name] = view
        return view

    def forget_view(self, run_id: str) -> None:
        """Look again: the run has made a catalog."""
        for of_catalog in (True, False):
            _VIEWS.pop(self._view_name(run_id, of_catalog=of_catalog), None)

    def _view_name(self, run_id: str, *, of_catalog: bool) -> tuple[str, str, bool]:
        return run_id, str(self.store.layout.current(CATALOG, None)), of_catalog

    def reader(self, *, of_catalog: bool = True) -> Builder:
        """Return a builder for looking: the artifacts of the recipe as it is and its dumps as they are now."""
        return open_builder(self.recipe, self.store, self.view(of_catalog=of_catalog))

    def hold(self, run_id: str) -> None:
        """Show that the process of a run lives; see `alive.py`."""
        hold(self.store.layout.alive, run_id)

    def current_catalog(self) -> Artifact | None:
        """Return the catalog that the corpus is made from, None before there is one."""
        try:
            return self.store.current(CATALOG)
        except ManifestError:
            return None

    def publish_catalog(self) -> Artifact:
        """Look at the dumps, and make what is found the current catalog."""
        catalog = self.find_dumps()
        return self.store.materialize(
            CATALOG,
            None,
            catalog_key(catalog),
            catalog.write,
            stage_version=CATALOG_VERSION,
            settings=catalog.as_json(),
            inputs={},
        )


def catalog_key(catalog: Catalog) -> str:
    """Name a catalog by what it says."""
    return fingerprint(CATALOG, None, CATALOG_VERSION, catalog.as_json(), {})


def register_dumps(graph: Graph) -> None:
    """Make the partitions of the dumps there are, so that a new UI shows them before any run.

    Done once a code server, not in the processes of runs. Where the code server has no instance of its own
    (neither DAGSTER_HOME nor a `dagster.yaml` in its folder) the first run makes them.
    """
    is_run = DefinitionsLoadContext.get().load_type is DefinitionsLoadType.RECONSTRUCTION
    if is_run or not graph.recipe.sources or not has_instance():
        return
    keys = [dump.key for dump in graph.find_dumps(reads=False).dumps if dump.is_on]
    name = str(graph.dumps.name)
    with open_instance() as instance:
        known = set(instance.get_dynamic_partitions(name))
        instance.add_dynamic_partitions(name, [key for key in keys if key not in known])
