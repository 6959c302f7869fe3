"""Every stage is run again with nothing in reach but what it declares, and must write the same bytes.

The store and, unless the stage reads raw files or a file that the recipe names, the data folder are moved away; what the
stage declares is handed over as copies in another place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder, Stage
from tonsai_pipeline.lineage.stage import Scope
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.manifest import data_version, describe_files
from tonsai_pipeline.storage.store import Artifact, _as_json
from tonsai_pipeline.synthetic.instructions import write_instructions
from tonsai_pipeline_tests.lineage.worlds import World

#: Stages that are handed paths of the data folder.
_READ_FILES = {
    "raw_documents",
    "evaluation_ngrams",
    "scored_documents_of_dump",
    "instruction_data",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    from tonsai_pipeline.engine.local import LocalEngine

    made = World(tmp_path_factory.mktemp("declared"), LocalEngine(1))
    made.fill()
    quiz = made.folder / "data" / "quiz.txt"
    quiz.write_text("seven of these words are asked of whoever reads them once\n")
    made.sections["dedup"] = {
        "decontaminate": {"evaluation_sets": [{"name": "quiz", "path": "quiz.txt"}]},
        "repetition": {"enabled": True},
    }
    made.sections["mixture"] |= {"bucket_repeats": [1, 2], "rehydrate": {2: 2.0}}
    write_instructions(made.folder / "data" / "asked.jsonl", 20)
    made.sections["sft"] = {
        "sources": [{"name": "asked", "path": "asked.jsonl", "license": "CC0-1.0"}],
        "replay_frac": 0.2,
    }
    made.build()
    builder = made.builder()
    for name in ("split_comparison", "instruction_data", "sft_dataset"):
        builder.build(name)
    return made


#: But that of streamed dumps, of which this corpus has none (`stages/test_stream.py`).
STAGES = [s.name for s in PIPELINE if not s.launched and s.name != "streamed_documents"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_needs_nothing_but_what_it_declares(
    world: World, tmp_path: Path, engine: Engine, name: str
) -> None:
    builder, stage = world.builder(), PIPELINE[name]
    dumps: list[DumpKey | None] = list(builder.dumps.versions) if stage.each_dump else [None]
    for dump in dumps[-1:]:
        made = builder.build(name, dump)
        handed = _copied(builder.arguments(name, dump), tmp_path / "handed")
        folder = tmp_path / "made"
        folder.mkdir()
        with _out_of_reach(world, stage):
            assert stage.make is not None
            report = stage.make(folder=folder, engine=engine, **handed)
        again = data_version(describe_files(folder), _as_json(report))
        assert again == made.data_version, (name, dump)


def test_a_stage_that_reads_more_is_caught(world: World, tmp_path: Path, engine: Engine) -> None:
    builder, stage = world.builder(), PIPELINE["packed_shards"]
    peeked = builder.build("scored_documents").path / "manifest.json"

    def peeking(**handed: Any) -> object:
        peeked.read_bytes()
        return stage.make(**handed) if stage.make else None

    with _out_of_reach(world, stage), pytest.raises(FileNotFoundError):
        replace(stage, make=peeking).make(folder=tmp_path, engine=engine)  # type: ignore[misc]


def _copied(handed: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """Return the arguments with every artifact copied to another place."""

    def copy(value: Any, name: str) -> Any:
        if isinstance(value, Artifact):
            shutil.copytree(value.path, place / name)
            return replace(value, folder=place / name)
        if isinstance(value, Mapping) and all(isinstance(one, Artifact) for one in value.values()):
            return {key: copy(one, f"{name}-{key}") for key, one in value.items()}
        return value

    return {name: copy(value, name) for name, value in handed.items()}


@contextmanager
def _out_of_reach(world: World, stage: Stage) -> Iterator[None]:
    home, data = world.store.layout.root, world.folder / "data"
    reads_dump = any(read.scope is Scope.RAW_DUMP for read in stage.reads.values())
    reads_files = stage.name in _READ_FILES or reads_dump
    moved = [home] if reads_files else [home, data]
    for path in moved:
        path.rename(path.with_name(f"{path.name}-away"))
    try:
        yield
    finally:
        for path in moved:
            path.with_name(f"{path.name}-away").rename(path)


def test_the_builder_opens_what_is_declared(world: World) -> None:
    builder = world.builder()
    assert isinstance(builder, Builder)
    for stage in PIPELINE:
        if not stage.launched:
            dump = next(iter(builder.dumps.versions)) if stage.each_dump else None
            assert set(builder.arguments(stage.name, dump)) == {*stage.fields, *stage.reads}
