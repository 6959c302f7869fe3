"""Stages, one recipe, the dumps there are, a store -> artifacts; work is done only where none of that key is there.

    settings, file contents, data versions of what is read ──key──▶ in the store? ──yes──▶ Artifact, no work
                                                                       └─no──▶ make(...) ──▶ Artifact

Everything is found by its key, never by "the newest": all artifacts that a builder hands out belong to one recipe
and one set of dumps, whatever other runs make at the same time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.errors import DumpError, ManifestError, RecipeError
from tonsai_pipeline.lineage.pipeline import Pipeline, key_settings, select
from tonsai_pipeline.lineage.stage import Read, Scope, Stage
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import digest_json, name_contents, write_bytes
from tonsai_pipeline.storage.lease import hold_lease
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.store import Artifact, Store

_Get = Callable[[str, DumpKey | None], Artifact | None]
#: What the files of a dump looked like when a stage began to read them; hidden, so no part of the result.
_STAMP = ".dump-stamp"


class RawDump(Protocol):
    """The files of a dump, as a catalog knows them."""

    @property
    def version(self) -> str:
        """Names the contents."""
        ...

    def stamp(self) -> str:
        """Return what changes whenever somebody writes to the files, even the same bytes."""
        ...

    def current_version(self) -> str:
        """Name the contents as they are now."""
        ...


@dataclass(frozen=True)
class DumpView:
    """The dumps of one moment.

    Args:
        versions: Content of every enabled dump by key, in catalog order.
        open: Finds the files of a dump.
    """

    versions: Mapping[DumpKey, str]
    open: Callable[[DumpKey], RawDump]


OnMade = Callable[["Builder", Stage, DumpKey | None, Artifact], None]
"""Told of the artifacts of other assets that were made, or found finished, on the way."""


class Builder:
    """Finds and makes the artifacts of one recipe over one view of its dumps.

    Args:
        pipeline: The stages.
        recipe: The settings.
        store: Where artifacts are.
        dumps: The dumps.
        engine: Opens the engine when there is something to make.
        on_made: Told of artifacts of other assets that were made on the way.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        recipe: Recipe,
        store: Store,
        dumps: DumpView,
        *,
        engine: Callable[[], Engine] = open_engine,
        on_made: OnMade | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.recipe = recipe
        self.store = store
        self.dumps = dumps
        self._engine = engine
        self._on_made = on_made
        self._known: dict[tuple[str, DumpKey | None], Artifact] = {}
        self._chains: dict[tuple[str, tuple[DumpKey, ...]], list[str]] = {}
        self._orders: dict[str, list[DumpKey]] = {}
        self._forced = ""

    def find(self, name: str, dump: DumpKey | None = None) -> Artifact | None:
        """Return the finished artifact of a stage for this recipe and these dumps, None if there is none.

        Raises:
            RecipeError: The recipe names a file that is not there.
        """
        if (known := self._known.get((name, dump))) is not None:
            return known
        key = self.key(name, dump)
        artifact = None if key is None else self.store.find(name, dump, key)
        if artifact is not None:
            self._known[name, dump] = artifact
        return artifact

    def key(self, name: str, dump: DumpKey | None = None) -> str | None:
        """Return the key of a stage's work; None while something it reads is not made."""
        stage = self.pipeline[name]
        versions = self._versions(stage, dump, self.find)
        return None if versions is None else self._fingerprint(stage, dump, versions)

    def build(
        self,
        name: str,
        dump: DumpKey | None = None,
        *,
        force: bool = False,
        make: Callable[..., Any] | None = None,
    ) -> Artifact:
        """Return the artifact of a stage, making what is missing of it.

        Artifacts of single dumps and inner results are made on the way. Another asset of the whole corpus is not.

        Args:
            name: The stage.
            dump: The dump, for a stage that makes an artifact a dump.
            force: Make it again, with its inner results, even if it is there.
            make: Does the work of a launched stage.

        Raises:
            ManifestError: An asset that it reads is not made for this recipe and these dumps.
            TonsaiError: Whatever the stage raises.
        """
        stage = self.pipeline[name]
        if force:
            self._forced = stage.asset
            self._forget(stage.asset)
        elif (known := self._known.get((name, dump))) is not None and self.store.is_current(
            name, dump, known
        ):
            return known
        hold_lease(self.store.layout.root)
        versions = self._versions(stage, dump, self._required)
        assert versions is not None, "required artifacts are there or an error was raised"
        work = make or stage.make
        if work is None:
            raise ManifestError(f"{name}: {self._way_out(stage)}")
        artifact = self.store.materialize(
            name,
            dump,
            self._fingerprint(stage, dump, versions),
            lambda folder: self._make(stage, dump, folder, work),
            stage_version=stage.version,
            settings=self._settings(stage, dump),
            inputs=versions,
            made_from=(artifact.place for artifact in self._sources(stage, dump)),
            force=self._forced == stage.asset,
        )
        self._known[name, dump] = artifact
        return artifact

    def arguments(self, name: str, dump: DumpKey | None = None) -> dict[str, Any]:
        """Return what a stage function is given: its fields, and its artifacts, opened.

        Raises:
            ManifestError: An artifact is not made.
        """
        stage = self.pipeline[name]
        given = self._fields(stage, dump)
        for argument, read in stage.reads.items():
            is_read = read.is_read(self.recipe, dump)
            given[argument] = self._opened(stage, read, dump) if is_read else None
        return given

    def _make(self, stage: Stage, dump: DumpKey | None, folder: Path, work: Any) -> Any:
        """Call the stage function; files of a dump must be the same before and after."""
        reads_files = any(
            read.scope is Scope.RAW_DUMP and read.is_read(self.recipe, dump)
            for read in stage.reads.values()
        )
        if not reads_files or dump is None:
            return work(folder=folder, engine=self._engine(), **self.arguments(stage.name, dump))
        files = self.dumps.open(dump)
        stamp = files.stamp().encode()
        if files.current_version() != self.dumps.versions[dump]:
            raise DumpError(
                f"{dump}: its files are not those that the catalog found; materialize dump_catalog again"
            )
        mark = folder / _STAMP
        if mark.is_file() and mark.read_bytes() != stamp:
            # Parts of a killed run that read other bytes under the same names.
            shutil.rmtree(folder)
            folder.mkdir(parents=True)
        write_bytes(mark, stamp)
        report = work(folder=folder, engine=self._engine(), **self.arguments(stage.name, dump))
        if files.stamp().encode() != stamp:
            shutil.rmtree(folder)
            raise DumpError(f"{dump}: its files changed while they were read; run again")
        return report

    def _required(self, name: str, dump: DumpKey | None) -> Artifact:
        """Return what a stage reads; make it if it is of one dump or an inner result."""
        stage = self.pipeline[name]
        if not stage.part_of and not stage.each_dump:
            found = self.find(name)
            if found is None:
                raise ManifestError(f"{name}: {self._way_out(stage)}")
            return found
        is_new = (name, dump) not in self._known
        artifact = self.build(name, dump)
        if is_new and self._on_made is not None and not stage.part_of:
            self._on_made(self, stage, dump, artifact)
        return artifact

    def _way_out(self, stage: Stage) -> str:
        return (
            f"not made yet for recipe '{self.recipe.name}' as it is and the dumps of its catalog; materialize "
            f"{stage.asset} first (in the UI, or: tonsai run --select {stage.asset})"
        )

    def _versions(self, stage: Stage, dump: DumpKey | None, get: _Get) -> dict[str, str] | None:
        """Return the version of everything that a stage reads by argument; None if something is not made."""
        versions = {}
        for argument, read in stage.reads.items():
            if not read.is_read(self.recipe, dump):
                continue
            version = self._version(stage, read, dump, get)
            if version is None:
                return None
            versions[argument] = version
        return versions

    def _version(self, stage: Stage, read: Read, dump: DumpKey | None, get: _Get) -> str | None:
        if read.scope is Scope.RAW_DUMP:
            return self.dumps.versions[self._known_dump(dump)]
        if read.scope is Scope.THIS_DUMP:
            return self._known_dump(dump)
        if read.scope in (Scope.WHOLE, Scope.SAME_DUMP):
            artifact = get(read.stage, dump if read.scope is Scope.SAME_DUMP else None)
            return None if artifact is None else artifact.data_version
        order, num_read = self._stretch(stage, read, dump)
        return self._chained(read.stage, order, num_read, get)

    def _stretch(self, stage: Stage, read: Read, dump: DumpKey | None) -> tuple[list[DumpKey], int]:
        """Return the stage's order of dumps, and how many of them are read."""
        order = self._order(stage)
        if read.of is not None:
            chosen = read.of(self.recipe)
            order = [key for key in order if key.source in chosen]
        if read.scope is Scope.EVERY_DUMP:
            return order, len(order)
        place = order.index(self._known_dump(dump))
        return order, place + (read.scope is Scope.UP_TO_THIS_DUMP)

    def _chained(self, name: str, order: list[DumpKey], num_read: int, get: _Get) -> str | None:
        """Name the artifacts of the first dumps of an order; each name is made from the one before."""
        chain = self._chains.setdefault((name, tuple(order)), ["no dump"])
        while len(chain) <= num_read:
            dump = order[len(chain) - 1]
            artifact = get(name, dump)
            if artifact is None:
                return None
            chain.append(digest_json([chain[-1], dump, artifact.data_version]))
        return chain[num_read]

    def _sources(self, stage: Stage, dump: DumpKey | None) -> Iterator[Artifact]:
        """Yield every artifact that a stage reads."""
        for read in stage.reads.values():
            if read.stage and read.is_read(self.recipe, dump):
                found = self._opened(stage, read, dump)
                yield from found.values() if isinstance(found, dict) else (found,)

    def _opened(self, stage: Stage, read: Read, dump: DumpKey | None) -> Any:
        if read.scope is Scope.RAW_DUMP:
            return self.dumps.open(self._known_dump(dump))
        if read.scope is Scope.THIS_DUMP:
            return self._known_dump(dump)
        if read.scope is Scope.WHOLE:
            return self._required(read.stage, None)
        if read.scope is Scope.SAME_DUMP:
            return self._required(read.stage, dump)
        order, num_read = self._stretch(stage, read, dump)
        return {key: self._required(read.stage, key) for key in order[:num_read]}

    def _order(self, stage: Stage) -> list[DumpKey]:
        if stage.name not in self._orders:
            keys = list(self.dumps.versions)
            order = stage.dump_order
            self._orders[stage.name] = keys if order is None else order(self.recipe, keys)
        return self._orders[stage.name]

    def _known_dump(self, dump: DumpKey | None) -> DumpKey:
        if dump is None or dump not in self.dumps.versions:
            raise RecipeError(
                f"dump '{dump}': not in the catalog of recipe '{self.recipe.name}'; see: tonsai dumps list"
            )
        return dump

    def _fields(self, stage: Stage, dump: DumpKey | None) -> dict[str, Any]:
        source = None if dump is None else dump.source
        return {name: select(self.recipe, wanted, source) for name, wanted in stage.fields.items()}

    def _settings(self, stage: Stage, dump: DumpKey | None) -> dict[str, Any]:
        source = None if dump is None else dump.source
        return key_settings(self.recipe, stage, source, name_contents)

    def _fingerprint(self, stage: Stage, dump: DumpKey | None, versions: Mapping[str, str]) -> str:
        return fingerprint(stage.name, dump, stage.version, self._settings(stage, dump), versions)

    def _forget(self, asset: str) -> None:
        """Forget the artifacts of an asset and of what is named after them."""
        names = {stage.name for stage in self.pipeline if stage.asset == asset}
        self._known = {key: one for key, one in self._known.items() if key[0] not in names}
        self._chains = {key: one for key, one in self._chains.items() if key[0] not in names}


def all_dumps(dumps: Iterable[DumpKey], stage: Stage) -> list[DumpKey | None]:
    """Return what a stage makes artifacts of: every dump, or the corpus (None)."""
    return list(dumps) if stage.each_dump else [None]
