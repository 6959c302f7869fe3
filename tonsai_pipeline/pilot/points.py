"""Points of a pilot -> what each measured, made or found finished.

    Point ──variant──▶ packed rows (shared by points of the same text) ──train, measure──▶ point.json

A point is named by the settings and the rows that its network is trained with and by the held-out documents: a second pilot
reruns what is new. Its network goes when it is measured.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.loss_law.ladder import Point, center_of
from tonsai_pipeline.loss_law.law import Run
from tonsai_pipeline.pilot.spec import MEASURED_NAME, PilotRun
from tonsai_pipeline.pilot.variant import points_of, variant
from tonsai_pipeline.pipeline import PIPELINE, open_builder
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.mix.held_out import write_held_out
from tonsai_pipeline.stages.mix.texts import mixture_parts
from tonsai_pipeline.storage.files import digest_json, read_json, write_json
from tonsai_pipeline.storage.job_folder import STATUS_NAME
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec

POINTS, POINT_NAME = "pilot_points", "point.json"
_VERSION = "2"
_JOB = "tonsai_pipeline.pilot.job"
#: What a run was trained with, and may have been `auto`.
_SETTINGS = ("lr", "embedding_lr", "weight_decay", "global_batch_tokens")

Launch = Callable[[LaunchSpec], LaunchResult]
"""Runs a job to its end."""


@dataclass(frozen=True)
class Pilot:
    """The pilot of a recipe whose corpus is packed.

    Args:
        builder: Of the large recipe.
        engine: Opens the engine that packs, the same one each time.
        num_processes: Of each small run; 0 for one per GPU.
    """

    builder: Builder
    engine: Callable[[], Engine]
    num_processes: int = 0

    @cached_property
    def points(self) -> list[Point]:
        """All points of the recipe's pilot."""
        return points_of(self.builder.recipe)

    @cached_property
    def shards(self) -> Artifact:
        """The large run's packed rows.

        Raises:
            ManifestError: They are not made.
        """
        found = self.builder.find("packed_shards")
        if found is None:
            raise ManifestError(
                f"packed_shards: not made yet for recipe '{self.builder.recipe.name}'; tonsai run --select packed_shards"
            )
        return found

    @property
    def is_packed(self) -> bool:
        """Whether the large run's rows are there."""
        return self.builder.find("packed_shards") is not None

    @cached_property
    def rows(self) -> RowReader:
        """The large run's training rows."""
        return RowReader(self.shards.path / "train")

    @cached_property
    def num_epochs(self) -> float:
        """Passes of the large run over its packed rows."""
        train = self.builder.recipe.train
        if train.max_tokens is None:
            return train.num_epochs or 1.0
        return train.max_tokens / (self.rows.num_rows * self.rows.seq_len)

    @property
    def num_tokens(self) -> int:
        """Length of the large run, padding included."""
        return round(self.num_epochs * self.rows.num_rows * self.rows.seq_len)

    def find(self, point: Point) -> Artifact | None:
        """Return what a point measured, None if it was not run; a screen is found once its middle point is."""
        center = self._settings(point, self.find)
        if center is None:
            return None
        small = self._builder(point, center)
        key = self._key(small)
        return None if key is None else self.builder.store.find(POINTS, None, key)

    def make(self, point: Point, launch: Launch) -> Artifact:
        """Run a point, with the middle point before a screen; what is finished is not run again.

        Raises:
            TonsaiError: A stage or the run failed.
        """
        center = self._settings(point, lambda one: self.make(one, launch))
        assert center is not None, "made just now"
        small = self._builder(point, center)
        for name in PIPELINE.up_to("packed_shards"):
            if not PIPELINE[name].each_dump:
                small.build(name)
        key = self._key(small)
        assert key is not None, "all that it reads was built"
        return self.builder.store.materialize(
            POINTS,
            None,
            key,
            lambda folder: self._run(point, small, key, folder, launch),
            stage_version=_VERSION,
            settings={"point": point.name},
            inputs={"held_out": self._held_out_version},
        )

    def _settings(
        self, point: Point, get: Callable[[Point], Artifact | None]
    ) -> Mapping[str, float] | None:
        """Return what the middle point was trained with, for screens; None while it is not run."""
        if not point.screen:
            return {}
        center = get(center_of(self.points))
        return None if center is None else result_of(center)["settings"]

    def _builder(self, point: Point, center: Mapping[str, float]) -> Builder:
        """Return the builder of a point; its artifacts are shared, what is current of the large recipe is not touched."""
        own = self.builder
        tokenizer = own.find("tokenizer")
        recipe = variant(
            own.recipe,
            point,
            num_epochs=self.num_epochs,
            tokenizer=None if tokenizer is None else tokenizer.path,
            center=center,
        )
        layout = own.store.layout
        store = Store(replace(layout, recipe=f"{layout.recipe}.pilot"))
        return open_builder(recipe, store, own.dumps, engine=self.engine)

    def _key(self, small: Builder) -> str | None:
        training = small.key("pretrained_model")
        if training is None:
            return None
        return fingerprint(
            POINTS, None, _VERSION, {"training": training}, {"held_out": self._held_out_version}
        )

    @cached_property
    def _held_out_version(self) -> str:
        """Name what points are measured on."""
        versions = [[one.data_version for one in texts.values()] for texts in self._texts]
        return digest_json([self.builder.recipe.evaluate.max_documents, *versions])

    @cached_property
    def _texts(self) -> tuple[dict[DumpKey, Artifact], dict[DumpKey, Artifact]]:
        """The large recipe's mixture_documents and normalized_documents by dump, as its evaluation reads them."""
        dumps = self.builder.dumps.versions
        mixed = {dump: self.builder.build("mixture_documents", dump) for dump in dumps}
        return mixed, {dump: self.builder.build("normalized_documents", dump) for dump in dumps}

    def _run(
        self, point: Point, small: Builder, key: str, folder: Path, launch: Launch
    ) -> dict[str, Any]:
        given = small.arguments("pretrained_model")
        output_dir = small.store.layout.run("pilot", key)
        held_out = output_dir / "held_out.parquet"
        output_dir.mkdir(parents=True, exist_ok=True)
        limit = self.builder.recipe.evaluate.max_documents
        write_held_out(mixture_parts(*self._texts), held_out, max_documents=limit)
        run = PilotRun(
            model=given["model"],
            train=given["train"],
            shards_dir=given["shards"].path,
            tokenizer_dir=given["tokenizer"].path,
            output_dir=output_dir,
            fingerprint=key,
            held_out=held_out,
        )
        # Backend torch is one process and needs no group, which would cost seconds for each of many short runs.
        launcher = "python" if run.train.backend == "torch" else "torchrun"
        spec = LaunchSpec(
            _JOB, run.write(), output_dir, num_processes=self.num_processes, launcher=launcher
        )
        launch(spec).raise_for_failure()
        result = _result(point, output_dir, given["shards"])
        write_json(folder / POINT_NAME, result)
        shutil.rmtree(output_dir)
        return result


def result_of(artifact: Artifact) -> dict[str, Any]:
    """Return what a point measured."""
    return cast("dict[str, Any]", artifact.report)


def _result(point: Point, output_dir: Path, shards: Artifact) -> dict[str, Any]:
    status = cast("dict[str, Any]", read_json(output_dir / STATUS_NAME))
    measured = cast("dict[str, float]", read_json(output_dir / MEASURED_NAME))
    read = tokens_read(shards, status["tokens"])
    return {
        "point": point.name,
        "num_parameters": status["num_parameters"],
        "num_weights": status["network"]["active_weights"],
        "tokens": status["tokens"],
        "num_steps": status["num_steps"],
        "settings": {name: status[name] for name in _SETTINGS},
        "languages": {
            lang: {"bits_per_byte": bits, "tokens": read[lang][0], "unique_tokens": read[lang][1]}
            for lang, bits in measured.items()
            if lang in read
        },
    }


def tokens_read(shards: Artifact, tokens: float) -> dict[str, tuple[float, float]]:
    """Return by language how many tokens a run reads, and how many different ones.

    Args:
        shards: What it reads.
        tokens: Its length, padding included.
    """
    rows = RowReader(shards.path / "train")
    passes = tokens / (rows.num_rows * rows.seq_len)
    found: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for source in shards.report["sources"].values():
        read = source["num_tokens"] * passes
        unique = min(source["available_tokens"], source["num_tokens"], read)
        before = found[source["lang"]]
        found[source["lang"]] = (before[0] + read, before[1] + unique)
    return {lang: numbers for lang, numbers in found.items() if numbers[1] > 0}


def run_of(result: Mapping[str, Any], language: str) -> Run:
    """Return a finished point as the law reads it."""
    found = result["languages"][language]
    return Run(
        result["num_weights"], found["unique_tokens"], found["tokens"], found["bits_per_byte"]
    )
