"""kill -9 in the middle of a stage, then the same call again: the bytes of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.recipe.sources import IngestConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.crash import (
    assert_survives_a_kill_from_outside,
    assert_survives_kills,
    home,
)
from tonsai_pipeline_tests.stages.test_ingest import BROKEN, Files, builder_of, write_dump

_HERE = "tonsai_pipeline_tests.stages.test_kill"
pytestmark = pytest.mark.slow


def _build(store: Store, folder: str, num_workers: str, asset: str) -> Artifact:
    paths = sorted(Path(folder).glob("*.jsonl.gz"))
    dump = Files("web@20261101", tuple(map(str, paths)), tuple(path.name for path in paths))
    engine = LocalEngine(int(num_workers))
    try:
        builder = builder_of(store, dump, engine, IngestConfig(part_bytes=8000))
        return builder.build(asset, DumpKey(dump.key))
    finally:
        engine.close()


def run_ingest(store: Store, folder: str, num_workers: str) -> Artifact:
    """What the killed process does."""
    return _build(store, folder, num_workers, "raw_documents")


def run_normalize(store: Store, folder: str, num_workers: str) -> Artifact:
    """What the killed process does behind a finished ingest."""
    run_ingest(store, folder, "1")
    return _build(store, folder, num_workers, "normalized_documents")


@pytest.fixture
def dump_folder(tmp_path: Path) -> str:
    texts: list[object] = [f"document {index} " + "ខ្មែរ " * (index % 40) for index in range(300)]
    texts[50::60] = [BROKEN] * len(texts[50::60])
    write_dump(tmp_path / "in", [texts, texts[::-1], texts[:5]])
    return str(tmp_path / "in")


def test_ingest_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(
    dump_folder: str, tmp_path: Path
) -> None:
    assert_survives_kills(
        f"{_HERE}:run_ingest", [dump_folder, "1"], tmp_path, kills=[1, 2, 3, 5, 12], at_least=7
    )


def test_ingest_killed_from_outside_with_its_workers_goes_on_to_the_same_bytes(
    dump_folder: str, tmp_path: Path
) -> None:
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_ingest", [dump_folder, "2"], tmp_path, pattern="building/**/part-*.parquet"
    )


def test_normalize_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(
    dump_folder: str, tmp_path: Path
) -> None:
    run_ingest(home(tmp_path / "disturbed"), dump_folder, "1")
    assert_survives_kills(
        f"{_HERE}:run_normalize", [dump_folder, "1"], tmp_path, kills=[1, 2, 3, 9], at_least=6
    )


def test_normalize_killed_from_outside_with_its_workers_goes_on_to_the_same_bytes(
    dump_folder: str, tmp_path: Path
) -> None:
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_normalize",
        [dump_folder, "2"],
        tmp_path,
        pattern="building/normalized_documents/**/part-*.parquet",
        asset="normalized_documents",
    )
