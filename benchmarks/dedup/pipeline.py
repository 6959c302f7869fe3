"""Files of text -> the corpus half of the pipeline, run by the product's own stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from tonsai_pipeline.catalog.catalog import Dump, find_dumps
from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.dedup import DedupConfig, SignatureConfig
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.stages import deduplicate as deduplicate_stage
from tonsai_pipeline.stages import ingest as ingest_stage
from tonsai_pipeline.stages import normalize as normalize_stage
from tonsai_pipeline.stages import sign as sign_stage
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store

T = TypeVar("T")


@dataclass
class Pipeline:
    """A store, an engine, and what was made in it so far."""

    root: Path
    recipe: Recipe
    num_workers: int = 1
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(Layout(self.root, self.recipe.name))
        self.engine: Engine = open_engine("local", num_workers=self.num_workers)

    def normalized(self, data: Path) -> dict[str, Artifact]:
        """Ingest and normalize every dump of the recipe."""
        sources = {source.name: source for source in self.recipe.sources}
        found = find_dumps(self.recipe, self.store.layout, data).enabled
        return {dump.key: self._normalize(dump, sources[dump.source]) for dump in found}

    def _normalize(self, dump: Dump, source: Source) -> Artifact:
        config = self.recipe
        raw = self.timed(
            "ingest",
            lambda: self.store.materialize(
                "raw_documents",
                dump.key,
                lambda folder: ingest_stage.ingest(
                    dump, folder, source=source, config=config.ingest, engine=self.engine
                ),
                stage_version=ingest_stage.STAGE_VERSION,
                settings=config.ingest.settings(),
                inputs={"dump": dump.version},
            ),
        )
        return self.timed(
            "normalize",
            lambda: self.store.materialize(
                "normalized_documents",
                dump.key,
                lambda folder: normalize_stage.normalize(
                    raw, folder, config=config.normalize, engine=self.engine
                ),
                stage_version=normalize_stage.STAGE_VERSION,
                settings=config.normalize.settings(),
                inputs={"raw_documents": raw.data_version},
            ),
        )

    def signed(
        self, normalized: Mapping[str, Artifact], config: SignatureConfig | None = None
    ) -> dict[str, Artifact]:
        """Sign every dump."""
        config = config or SignatureConfig()
        return {
            key: self.timed("sign", lambda key=key: self._sign(key, normalized[key], config))
            for key in normalized
        }

    def _sign(self, key: str, normalized: Artifact, config: SignatureConfig) -> Artifact:
        return self.store.materialize(
            "minhash_signatures",
            key,
            lambda folder: sign_stage.sign(normalized, folder, config=config, engine=self.engine),
            stage_version=sign_stage.STAGE_VERSION,
            settings=config.settings(),
            inputs={"normalized_documents": normalized.data_version},
        )

    def deduplicated(
        self,
        signatures: Mapping[str, Artifact],
        normalized: Mapping[str, Artifact],
        config: DedupConfig | None = None,
    ) -> Artifact:
        """Decide every dump."""
        config = config or DedupConfig()
        return self.timed(
            "deduplicate",
            lambda: self.store.materialize(
                "deduplicated_documents",
                None,
                lambda folder: deduplicate_stage.deduplicate(
                    signatures,
                    normalized,
                    folder,
                    config=config,
                    engine=self.engine,
                    store=self.store,
                ),
                stage_version=deduplicate_stage.STAGE_VERSION,
                settings=config.settings(),
                inputs={key: artifact.data_version for key, artifact in signatures.items()},
            ),
        )

    def timed(self, name: str, work: Callable[[], T]) -> T:
        """Run a step and add its wall time to `seconds`."""
        started = time.perf_counter()
        result = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return result


def real_recipe(data: Path) -> Recipe:
    """Return a recipe whose sources are the files `<lang>/<name>.jsonl.gz`, Khmer first."""
    sources = [
        Source(name=f"{lang}_{path.name.split('.')[0]}", lang=lang, path=str(path.resolve()))
        for lang in ("khm", "eng")
        for path in sorted((data / lang).glob("*.jsonl.gz"))
    ]
    return Recipe(name="real", sources=tuple(sources))


def column(artifacts: Mapping[str, Artifact], name: str) -> pa.ChunkedArray:
    """Return a column of a table over all dumps and parts, in corpus order."""
    tables = [
        read_part(path, [name]) for artifact in artifacts.values() for path in artifact.parts()
    ]
    return pa.concat_tables(tables).column(name)


def dropped_rows(pipeline: Pipeline, artifact: Artifact) -> list[dict]:
    """Return every row of the tables of dropped documents."""
    from tonsai_pipeline.storage.files import read_json

    return [
        row
        for link in read_json(artifact.path / "dumps.json").values()
        for path in pipeline.store.resolve(link["path"]).parts("dropped")
        for row in read_part(path).to_pylist()
    ]
