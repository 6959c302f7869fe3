"""All stages -> a checked graph: each before those that read it, no name twice, no reading of what nobody makes.

(Stage, Stage, ...) ──Pipeline──▶ stages in order, inner stages of an asset, its upstream assets, code versions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tonsai_pipeline.lineage.stage import Fields, Scope, Stage, Table
from tonsai_pipeline.recipe import Recipe, Section
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.storage.files import digest_json

_PER_DUMP = {Scope.SAME_DUMP, Scope.EVERY_DUMP, Scope.EARLIER_DUMPS, Scope.UP_TO_THIS_DUMP}


class Pipeline:
    """The stages of the product.

    Raises:
        ValueError: A name stands twice, or a stage reads what no stage before it makes; a defect of ours.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._stages: dict[str, Stage] = {}
        for stage in stages:
            self._check(stage)
            self._stages[stage.name] = stage

    def _check(self, stage: Stage) -> None:
        if stage.name in self._stages:
            raise ValueError(f"stage {stage.name} is declared twice")
        for argument, read in stage.reads.items():
            if argument in stage.fields:
                raise ValueError(f"{stage.name}: argument {argument} is both a field and a read")
            if not read.stage or read.stage == stage.name:
                continue
            made = self._stages.get(read.stage)
            if made is None:
                raise ValueError(f"{stage.name} reads {read.stage}, which no stage before it makes")
            if made.each_dump != (read.scope in _PER_DUMP):
                raise ValueError(f"{stage.name} reads {read.stage} as {read.scope.value}")
        self._check_table(stage)

    def _check_table(self, stage: Stage) -> None:
        if stage.table is None:
            return
        if unknown := stage.table.made_from.keys() - {"*", *stage.table.columns.names}:
            raise ValueError(f"{stage.name} has no column {', '.join(sorted(unknown))}")
        for column in stage.table.columns.names:
            for argument, origin in self._origins(stage, stage.table, column):
                read = stage.reads.get(argument)
                table = None if read is None else self._stages[read.stage].table
                # A stage that declares no table says nothing of its columns.
                if read is None or (table is not None and origin not in table.columns.names):
                    raise ValueError(
                        f"{stage.name}.{column} is made from {argument}.{origin}, which is not there"
                    )

    def _origins(self, stage: Stage, table: Table, column: str) -> list[tuple[str, str]]:
        """Return (argument, column) of what a column is made from."""
        if column in table.made_from:
            named = table.made_from[column]
        elif table.same and column in self._columns_of(stage, table.same):
            named = (f"{table.same}.{column}",)
        else:
            named = table.made_from.get("*", ())
        return [(argument, origin) for argument, _, origin in (one.partition(".") for one in named)]

    def _columns_of(self, stage: Stage, argument: str) -> list[str]:
        table = self._stages[stage.reads[argument].stage].table
        return [] if table is None else table.columns.names

    def table_of(self, asset: str) -> Table | None:
        """Return the table of an asset: its own, or that of an inner result."""
        own = (stage.table for stage in self if stage.asset == asset and stage.table is not None)
        return next(own, None)

    def column_lineage(self, asset: str) -> dict[str, list[tuple[str, str]]]:
        """Return what the columns of an asset's table are made from: column -> (asset, column)."""
        stage = next((one for one in self if one.asset == asset and one.table is not None), None)
        if stage is None or stage.table is None:
            return {}
        return {
            column: [
                (self[stage.reads[argument].stage].asset, origin)
                for argument, origin in self._origins(stage, stage.table, column)
            ]
            for column in stage.table.columns.names
        }

    def __getitem__(self, name: str) -> Stage:
        """Return a stage by name."""
        return self._stages[name]

    def __iter__(self) -> Iterator[Stage]:
        """Iterate over all stages, each before those that read it."""
        return iter(self._stages.values())

    def assets(self, recipe: Recipe | None = None) -> list[Stage]:
        """Return the stages that are assets; those that a recipe has, if one is given."""
        return [
            stage
            for stage in self
            if not stage.part_of and (recipe is None or _is_of(recipe, stage))
        ]

    def up_to(self, *assets: str, recipe: Recipe | None = None) -> list[str]:
        """Return the names of assets and of those that they are made from, in order; of a recipe, if one is given."""
        wanted, known = set(assets), self.assets(recipe)
        for stage in reversed(known):
            if stage.name in wanted:
                wanted |= set(self.upstream_assets(stage.name, recipe))
        return [stage.name for stage in known if stage.name in wanted]

    def upstream_assets(self, asset: str, recipe: Recipe | None = None) -> dict[str, bool]:
        """Return the assets that an asset reads, itself or through its inner stages: name -> one a dump?

        Args:
            asset: Its name.
            recipe: Leave out what is not read for this recipe.
        """
        there = None if recipe is None else {stage.name for stage in self.assets(recipe)}
        found: dict[str, bool] = {}
        for stage in self:
            if stage.asset == asset:
                for read in stage.reads.values():
                    made = self._stages.get(read.stage)
                    is_read = recipe is None or read.is_read(recipe)
                    if made is None or made.asset == asset or not is_read:
                        continue
                    if there is None or made.asset in there:
                        found[made.asset] = self._stages[made.asset].each_dump
        return found

    def code_version(self, asset: str, recipe: Recipe) -> str:
        """Return an asset's code version: algorithm and settings of all stages that building it runs.

        Building an asset of the whole corpus makes missing artifacts of single dumps, so theirs count as well.
        """
        versions = {
            name: [self[name].version, key_settings(recipe, self[name], None, _stamp)]
            for name in sorted(self._runs(asset))
            if _is_of(recipe, self[name])
        }
        return f"{self[asset].version.split('+')[0]}+{digest_json(versions)[:8]}"

    def _runs(self, asset: str) -> set[str]:
        """Return the stages that building an asset may run: its inner ones, and those of single dumps below."""
        names = {stage.name for stage in self if stage.asset == asset}
        waiting = list(names)
        while waiting:
            for read in self._stages[waiting.pop()].reads.values():
                made = self._stages.get(read.stage)
                is_built = made is not None and (made.each_dump or made.part_of)
                if is_built and read.stage not in names:
                    names.add(read.stage)
                    waiting.append(read.stage)
        return names


def _is_of(recipe: Recipe, stage: Stage) -> bool:
    return bool(recipe.sources) if stage.of_recipe is None else stage.of_recipe(recipe)


def select(recipe: Recipe, fields: Fields, source: str | None) -> Any:
    """Return the settings that a declaration names, and nothing else of the recipe.

    Args:
        recipe: The recipe.
        fields: What is declared.
        source: Name of the dump's source, for `source`; None selects that part of every source.
    """
    if fields.path in ("sources", "source"):
        if fields.path == "sources" or source is None:
            return tuple(_narrow(one, fields) for one in recipe.sources)
        return _narrow(_source(recipe, source), fields)
    value: Any = recipe
    for name in fields.path.split("."):
        value = getattr(value, name)
    return _narrow(value, fields)


def key_settings(
    recipe: Recipe, stage: Stage, source: str | None, name_file: Callable[[Path], str]
) -> dict[str, Any]:
    """Return the settings of a stage by argument, as JSON values: what its key is made of.

    Args:
        recipe: The recipe.
        stage: The stage.
        source: Name of the dump's source; None for every source.
        name_file: Names the contents of a file or folder that a setting points to.
    """
    return {
        argument: _plain(recipe, fields, select(recipe, fields, source), name_file)
        for argument, fields in stage.fields.items()
    }


def _narrow(value: Any, fields: Fields) -> Any:
    if not isinstance(value, Section) or fields.watched:
        return value
    return value.narrow(fields.only, fields.without)


def _source(recipe: Recipe, name: str) -> Source:
    return next(source for source in recipe.sources if source.name == name)


def _plain(recipe: Recipe, fields: Fields, value: Any, name_file: Callable[[Path], str]) -> Any:
    if isinstance(value, Section):
        return value.narrow(fields.only, fields.without).settings(name_file, fields.path)
    if fields.path == "sources" or isinstance(value, tuple):
        return [
            one.settings(name_file, fields.path) if isinstance(one, Section) else one
            for one in value
        ]
    parent, _, name = fields.path.rpartition(".")
    if not parent:
        return value
    return select(recipe, Fields(parent, only=(name,)), None).settings(name_file, parent)[name]


def _stamp(path: Path) -> str:
    """Name a file cheaply, for the code version that the UI shows: size and time."""
    if not path.exists():
        return "missing"
    files = [path] if path.is_file() else sorted(path.iterdir())
    return digest_json([[one.name, one.stat().st_size, one.stat().st_mtime_ns] for one in files])
