"""Stage: what is made, by which function, from which settings and which artifacts. Declared once, here.

    Stage ──▶ cache key, arguments of the function, Dagster dependencies, code version, "what reruns when"

A stage function is called with `folder`, `engine`, and one argument for every entry of `fields` and `reads`. It
has no store and no recipe: what is not declared cannot be read, and what is declared is in the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pyarrow as pa

from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey

DumpOrder = Callable[[Recipe, Sequence[DumpKey]], list[DumpKey]]
"""Puts dumps in the order in which a stage takes them. That order is part of the key, as the dumps are."""
SourceChoice = Callable[[Recipe], set[str]]
"""Names the sources whose dumps are read. Which dumps that were is part of the key."""
RecipeChoice = Callable[[Recipe], bool]
"""Whether a recipe has a stage, or a stage of it reads something."""


@dataclass(frozen=True)
class Fields:
    """Settings of the recipe that a stage is given.

    Args:
        path: Section or field of the recipe, with dots; `sources` is every source, `source` that of the dump.
        only: Fields of that section, if not all.
        without: Fields of it that are left out.
        watched: Whether the fields that cannot change the result are given as well (launched jobs that save, log
            and guard by them).
    """

    path: str
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    watched: bool = False


class Scope(Enum):
    """Which artifacts of another stage are read."""

    WHOLE = "the one there is"
    SAME_DUMP = "that of the same dump"
    EVERY_DUMP = "those of every dump"
    EARLIER_DUMPS = "those of the dumps before this one"
    UP_TO_THIS_DUMP = "those of the dumps before this one, and of this one"
    RAW_DUMP = "the files of the dump"
    THIS_DUMP = "the key of the dump"


@dataclass(frozen=True)
class Read:
    """Artifacts that a stage is given, opened.

    Args:
        stage: Name of the stage that makes them; empty for the dump itself.
        scope: Which of them. Those of several dumps are a mapping by dump key, in the reading stage's order.
        of: Chooses the sources whose dumps are read; None for all. A stage of a dump of another source is given None.
        when: Whether it is read for a recipe; where it is not, the argument is None. None: always.
    """

    stage: str
    scope: Scope
    of: SourceChoice | None = None
    when: RecipeChoice | None = None

    def is_read(self, recipe: Recipe, dump: DumpKey | None = None) -> bool:
        """Whether it is read for a recipe, by the stage of a dump if one is given."""
        if self.when is not None and not self.when(recipe):
            return False
        is_of_dump = self.scope in (Scope.SAME_DUMP, Scope.RAW_DUMP)
        if dump is None or self.of is None or not is_of_dump:
            return True
        return dump.source in self.of(recipe)


def whole(stage: str, when: RecipeChoice | None = None) -> Read:
    """Read the artifact of a stage that is made once for the corpus, of some recipes perhaps."""
    return Read(stage, Scope.WHOLE, when=when)


def same_dump(stage: str, of: SourceChoice | None = None) -> Read:
    """Read the artifact of the same dump, of some sources perhaps."""
    return Read(stage, Scope.SAME_DUMP, of)


def every_dump(stage: str, of: SourceChoice | None = None) -> Read:
    """Read the artifacts of every dump, or of the dumps of some sources: a mapping by dump key."""
    return Read(stage, Scope.EVERY_DUMP, of)


def earlier_dumps(stage: str) -> Read:
    """Read the artifacts of the dumps before this one; a stage may read its own."""
    return Read(stage, Scope.EARLIER_DUMPS)


def up_to_this_dump(stage: str) -> Read:
    """Read the artifacts of the dumps before this one and of this one."""
    return Read(stage, Scope.UP_TO_THIS_DUMP)


def raw_dump(of: SourceChoice | None = None) -> Read:
    """Read the files of the dump (a `catalog.Dump`), of some sources perhaps."""
    return Read("", Scope.RAW_DUMP, of)


def this_dump() -> Read:
    """Be told the key of the dump, which is part of the cache key in any case."""
    return Read("", Scope.THIS_DUMP)


@dataclass(frozen=True)
class Table:
    """The table that a stage writes, and what each of its columns is made from.

    Args:
        columns: Its schema.
        same: Argument whose table hands its columns of the same names on.
        made_from: Column -> "argument.column" of what it is made from, `*` for every column not named otherwise.
    """

    columns: pa.Schema
    same: str = ""
    made_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Args:
        name: What it makes: the name of the asset, and of the folder in the store.
        version: Version of the algorithm; bumped when the same inputs would give other bytes.
        make: Called as `make(folder=, engine=, **arguments)`; writes files below `folder` and returns a report.
            None for a job that is launched: whoever builds it passes the function.
        fields: Argument -> settings of the recipe.
        reads: Argument -> artifacts.
        each_dump: Whether there is one artifact a dump.
        part_of: Name of the asset that this is an inner result of; empty for an asset of its own.
        dump_order: The order of dumps that its `earlier_dumps` and mappings follow; None for catalog order.
        of_recipe: Whether a recipe has it at all; None: every recipe that has a corpus.
        table: The table of documents that it writes; of an inner result it is that of its asset. None if it writes none.
    """

    name: str
    version: str
    make: Callable[..., Any] | None = None
    fields: Mapping[str, Fields] = field(default_factory=dict)
    reads: Mapping[str, Read] = field(default_factory=dict)
    each_dump: bool = False
    part_of: str = ""
    dump_order: DumpOrder | None = None
    of_recipe: RecipeChoice | None = None
    table: Table | None = None

    @property
    def asset(self) -> str:
        """Name of the asset on whose page it is shown."""
        return self.part_of or self.name

    @property
    def launched(self) -> bool:
        """Whether it runs in processes of its own."""
        return self.make is None
