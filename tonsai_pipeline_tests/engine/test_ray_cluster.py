"""Two Ray nodes, one of them killed in the middle: every result has the bytes of the `local` engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline_tests.lineage.worlds import World

T = TypeVar("T")
R = TypeVar("R")
_RESULTS_BEFORE_THE_KILL = 12


class KillingEngine:
    """An engine under which a node dies after some results.

    Args:
        inner: Where the work is done.
        kill: Kills the node.
    """

    def __init__(self, inner: Engine, kill: Callable[[], None]) -> None:
        self._inner, self._kill = inner, kill
        self.num_workers = inner.num_workers
        self.num_results = 0

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], *, label: str
    ) -> Iterator[tuple[int, R]]:
        """Map as the inner engine does, and kill the node in passing."""
        for result in self._inner.map(function, tasks, label=label):
            self.num_results += 1
            if self.num_results == _RESULTS_BEFORE_THE_KILL:
                self._kill()
            yield result

    def close(self) -> None:
        """Close the inner engine."""
        self._inner.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_that_dies_in_the_middle_changes_no_byte(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra ray")
    from ray.cluster_utils import Cluster

    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    killing = KillingEngine(
        open_engine("ray"), lambda: cluster.remove_node(second, allow_graceful=False)
    )
    try:
        world = World(tmp_path, killing)
        world.fill()
        world.build()
        found = world.versions()
    finally:
        killing.close()
        cluster.shutdown()
    assert killing.num_results > _RESULTS_BEFORE_THE_KILL
    world.engine = engine
    assert found == world.fresh_versions()
