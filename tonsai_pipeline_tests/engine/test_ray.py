"""The Ray engine on a cluster of this machine; skipped where Ray is not installed (extra `ray`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tonsai_pipeline.engine import Engine, map_parts, open_engine
from tonsai_pipeline.errors import DataError, PartError, RecipeError
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.engine.test_parts import parts, runs
from tonsai_pipeline_tests.engine.work import square, write_text
from tonsai_pipeline_tests.stages import test_stream as streamed
from tonsai_pipeline_tests.stages.deduplication import House, corpus
from tonsai_pipeline_tests.web_server import serving


@pytest.fixture(scope="module")
def ray_engine() -> Iterator[Engine]:
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    ray = pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra ray")
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {"env_vars": {"PYTHONPATH": path}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    engine = open_engine("ray")
    yield engine
    engine.close()


@pytest.mark.slow
def test_every_task_gives_its_result_under_its_index(ray_engine: Engine) -> None:
    assert ray_engine.num_workers == 2
    assert dict(ray_engine.map(square, range(20), label="square")) == {n: n * n for n in range(20)}


@pytest.mark.slow
def test_stage_code_and_resume_are_those_of_the_local_engine(
    ray_engine: Engine, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(
        PartError, match=r"^write: part part-theirs: ZeroDivisionError: division by zero"
    ):
        map_parts(ray_engine, write_text, parts("a", "theirs"), folder=tmp_path, label="write")
    map_parts(ray_engine, write_text, parts("a", "b"), folder=tmp_path, label="write")
    results = map_parts(engine, write_text, parts("a", "b", "c"), folder=tmp_path, label="write")
    assert [result["num_chars"] for result in results] == [1, 1, 1]
    assert [runs(tmp_path, payload) for payload in "bc"] == [1, 1]


@pytest.mark.slow
def test_deduplication_has_the_same_bytes_as_on_the_local_engine(
    ray_engine: Engine, tmp_path: Path
) -> None:
    texts = corpus(14, {"a@20260101": 90, "b@20260101": 60})
    local, cluster = House(tmp_path / "local"), House(tmp_path / "ray", engine=ray_engine)
    expected = local.deduplicate(texts, rows_per_part=50)
    assert cluster.deduplicate(texts, rows_per_part=50).data_version == expected.data_version


@pytest.mark.slow
def test_a_streamed_dump_has_the_same_bytes_as_on_the_local_engine(
    ray_engine: Engine, tmp_path: Path
) -> None:
    files = streamed.contents()
    with serving(files) as server:
        recipe = streamed.recipe_of(streamed.urls(server))
        made = [
            streamed.open_recipe(
                Store(Layout(tmp_path / name, "test")), recipe, tmp_path, engine=engine
            ).build("normalized_documents", streamed.KEY)
            for name, engine in (("ray", ray_engine), ("local", None))
        ]
        assert made[0].manifest.files == made[1].manifest.files
        sent = [server.num_sent(name) for name in files]
    assert sent == [2 * len(data) for data in files.values()]
    assert not list(tmp_path.rglob(".fetched"))


@pytest.mark.slow
def test_an_error_of_ours_keeps_its_kind(ray_engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^write: part part-ours: a\.jsonl: row 3: broken"):
        map_parts(ray_engine, write_text, parts("ours"), folder=tmp_path, label="write")


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_with_its_part(ray_engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(PartError, match=r"write: .*part-die"):
        map_parts(ray_engine, write_text, parts("die"), folder=tmp_path, label="write")


def test_without_ray_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match="Ray is not installed; run: uv sync --extra ray"):
        open_engine("ray")


def test_without_a_cluster_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray:
        @staticmethod
        def init(**_: object) -> None:
            raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setitem(sys.modules, "ray", Ray())  # pyright: ignore[reportArgumentType]
    with pytest.raises(RecipeError, match=r"no cluster answers; set RAY_ADDRESS.*ray start --head"):
        open_engine("ray")
