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
    content,
    home,
)
from tonsai_pipeline_tests.stages.scored import score_corpus, small_corpus
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
        return score_corpus(small_corpus(store), store, engine, _QUALITY)
    finally:
        engine.close()


def run_mix(store: Store, num_workers: str) -> Artifact:
    """What the killed process does behind finished scores."""
    engine = LocalEngine(int(num_workers))
    try:
        return mixed(small_corpus(store), store, engine)
    finally:
        engine.close()


def everything(store: Store, artifact: Artifact, asset: str) -> dict[str, bytes]:
    """Every file of an artifact and of the artifacts of its dumps and classifiers."""
    found = {f"{asset}/{name}": data for name, data in content(artifact).items()}
    for folder in sorted((store.layout.root / "artifacts").glob(f"{asset}.*/*/*")):
        parts = (path for path in folder.rglob("*") if path.is_file())
        found |= {
            str(path.relative_to(store.layout.root)): path.read_bytes()
            for path in parts
            if path.name != "timings.json"
        }
    return found


def test_scoring_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    stores = [home(tmp_path / name) for name in ("one", "two")]
    first, second = (
        everything(store, run_score(store, "1"), "scored_documents") for store in stores
    )
    assert any(name.endswith("model.bin") for name in first)
    assert sum("/signals/" in name for name in first) >= 5
    assert first == second


def test_mixing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    stores = [home(tmp_path / name) for name in ("one", "two")]
    first, second = (everything(store, run_mix(store, "1"), "training_mixture") for store in stores)
    assert sum("part-" in name for name in first) >= 3
    assert first == second


def test_score_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    small_corpus(home(tmp_path / "disturbed"))
    assert_survives_kills(f"{_HERE}:run_score", ["1"], tmp_path, kills=[1, 3, 9], at_least=5)


def test_score_killed_from_outside_with_its_workers_goes_on_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    small_corpus(home(tmp_path / "disturbed"))
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_score",
        ["2"],
        tmp_path,
        pattern="building/scored_documents.dump/**/part-*.parquet",
        asset="scored_documents",
    )


def test_mix_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    disturbed = home(tmp_path / "disturbed")
    score_corpus(small_corpus(disturbed), disturbed, LocalEngine(1))
    assert_survives_kills(f"{_HERE}:run_mix", ["1"], tmp_path, kills=[1, 3, 9], at_least=5)


def test_mix_killed_from_outside_with_its_workers_goes_on_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    disturbed = home(tmp_path / "disturbed")
    score_corpus(small_corpus(disturbed), disturbed, LocalEngine(1))
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_mix",
        ["2"],
        tmp_path,
        pattern="building/training_mixture.dump/**/part-*.parquet",
        asset="training_mixture",
    )
