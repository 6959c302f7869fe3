"""Stages of the product behind stages that invent their inputs: made through the real declarations and the builder.

Dumps(contents) ──invented stages──▶ artifacts ──the product's own stages──▶ what a test asks for
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder, DumpView, Pipeline, Stage, raw_dump
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.store import Artifact, Store


@dataclass(frozen=True)
class InventedDump:
    """What a dump holds, in memory."""

    key: DumpKey
    content: Any
    version: str

    def stamp(self) -> str:
        return self.version

    def current_version(self) -> str:
        return self.version


def view_of(dumps: Mapping[str, Any]) -> DumpView:
    """Return a view of invented dumps: key -> what it holds (JSON values)."""
    found = {
        DumpKey(key): InventedDump(DumpKey(key), content, digest_json(content))
        for key, content in dumps.items()
    }
    return DumpView({key: dump.version for key, dump in found.items()}, found.__getitem__)


def invented(
    name: str, write: Callable[[InventedDump, Path], Mapping[str, Any]], version: str = "test"
) -> Stage:
    """Return a stage that writes a dump's artifact from what a test says it holds."""

    def make(dump: InventedDump, folder: Path, *, engine: Engine) -> Mapping[str, Any]:
        del engine
        return write(dump, folder)

    return Stage(name, version, make, each_dump=True, reads={"dump": raw_dump()})


@dataclass
class Workshop:
    """A store, an engine, and some stages; a new builder for each state of dumps and recipe."""

    store: Store
    engine: Engine
    stages: tuple[Stage, ...]
    builders: list[Builder] = field(default_factory=list)

    def builder(self, dumps: Mapping[str, Any], **sections: Any) -> Builder:
        """Return a builder over dumps, by a recipe that has their sources and these sections.

        Args:
            dumps: Key -> what the dump holds.
            sections: Sections of the recipe, as models or plain values; `sources` or `weights` as well.
        """
        recipe = recipe_of(dumps, **sections)
        made = Builder(
            Pipeline(self.stages), recipe, self.store, view_of(dumps), engine=lambda: self.engine
        )
        self.builders.append(made)
        return made


def recipe_of(
    dumps: Iterable[str], weights: Mapping[str, float] | None = None, **sections: Any
) -> Recipe:
    """Return a recipe with a source for every dump; those named `khm...` are Khmer, others English."""
    names = dict.fromkeys(DumpKey(key).source for key in dumps)
    sources = [
        {
            "name": name,
            "lang": "khm" if name.startswith("khm") else "eng",
            "weight": (weights or {}).get(name, 1.0),
        }
        for name in names
    ]
    return Recipe.model_validate(
        {"name": "test", "sources": sources or [{"name": "none", "lang": "eng"}], **sections}
    )


@dataclass(frozen=True)
class Made:
    """An artifact and what belongs to it."""

    builder: Builder
    artifact: Artifact

    @property
    def report(self) -> Mapping[str, Any]:
        return self.artifact.report

    @property
    def path(self) -> Path:
        return self.artifact.path

    @property
    def data_version(self) -> str:
        return self.artifact.data_version

    def dumps(self, stage: str) -> dict[DumpKey, Artifact]:
        """Return the artifacts of a stage that makes one a dump."""
        return {key: self.builder.build(stage, key) for key in self.builder.dumps.versions}
