"""kill -9 while documents are scored, a classifier is trained or a mixture is made: the bytes of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.recipe.quality import ClassifierConfig, QualityConfig
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.crash import (
    assert_survives_a_kill_from_outside,
    assert_survives_kills,
    home,
)
from tonsai_pipeline_tests.stages.scored import builder_of, score_corpus, small_corpus
from tonsai_pipeline_tests.stages.test_mix import mixed

_HERE = "tonsai_pipeline_tests.stages.test_kill_score_mix"
_QUALITY = QualityConfig(
    classifiers={
        "khm": ClassifierConfig(
            positives=("khm_news", "khm_web"), negatives=("khm_menus",), num_buckets=2000, dim=8
        )
    }
)
pytestmark = pytest.mark.slow


def run_score(store: Store, num_workers: str) -> Artifact:
    """What the killed process does."""
    engine = LocalEngine(int(num_workers))
    try:
        return score_corpus(small_corpus(), store, engine, _QUALITY).artifact
    finally:
        engine.close()


def run_mix(store: Store, num_workers: str) -> Artifact:
    """What the killed process does behind finished scores."""
    engine = LocalEngine(int(num_workers))
    try:
        return mixed(small_corpus(), store, engine).artifact
    finally:
        engine.close()


def everything(store: Store) -> dict[str, bytes]:
    """Every file of every artifact."""
    files = (path for path in (store.layout.root / "artifacts").rglob("*") if path.is_file())
    return {
        str(path.relative_to(store.layout.root)): path.read_bytes()
        for path in files
        if path.name != "timings.json"
    }


def _prepare(store: Store) -> None:
    """Make what scoring reads, so that the kills come later."""
    builder = builder_of(small_corpus(), store, LocalEngine(1))
    for key in builder.dumps.versions:
        builder.build("kept_documents_of_dump", key)


def test_scoring_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    stores = [home(tmp_path / name) for name in ("one", "two")]
    for store in stores:
        run_score(store, "1")
    first, second = map(everything, stores)
    assert any(name.endswith("model.bin") for name in first)
    assert sum("/signals/" in name for name in first) >= 5
    assert first == second


def test_mixing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    stores = [home(tmp_path / name) for name in ("one", "two")]
    for store in stores:
        run_mix(store, "1")
    first, second = map(everything, stores)
    assert sum("part-" in name for name in first) >= 3
    assert first == second


def test_score_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    _prepare(home(tmp_path / "disturbed"))
    assert_survives_kills(f"{_HERE}:run_score", ["1"], tmp_path, kills=[1, 3, 9], at_least=5)


def test_score_killed_from_outside_with_its_workers_goes_on_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    _prepare(home(tmp_path / "disturbed"))
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_score",
        ["2"],
        tmp_path,
        pattern="building/scored_documents_of_dump/**/part-*.parquet",
        asset="scored_documents",
    )


def test_mix_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    disturbed = home(tmp_path / "disturbed")
    score_corpus(small_corpus(), disturbed, LocalEngine(1))
    assert_survives_kills(f"{_HERE}:run_mix", ["1"], tmp_path, kills=[1, 3, 9], at_least=5)


def test_mix_killed_from_outside_with_its_workers_goes_on_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    disturbed = home(tmp_path / "disturbed")
    score_corpus(small_corpus(), disturbed, LocalEngine(1))
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_mix",
        ["2"],
        tmp_path,
        pattern="building/mixture_documents/**/part-*.parquet",
        asset="training_mixture",
    )
