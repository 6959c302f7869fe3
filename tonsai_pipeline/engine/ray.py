"""Map over parts with Ray tasks on an existing cluster: the same stage code, another place.

The cluster is the one at RAY_ADDRESS, or the one already running on this machine; none is started here.
The data root must be a folder that every node sees.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tonsai_pipeline.errors import PartError, RecipeError, TonsaiError

T = TypeVar("T")
R = TypeVar("R")


class RayEngine:
    """Ray tasks, one per part, a bounded number in flight.

    Args:
        num_workers: Tasks in flight; None for the CPUs of the cluster.

    Raises:
        RecipeError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, num_workers: int | None = None) -> None:
        # Ray sees that it was started by `uv run` and would install the project anew for every worker. The
        # nodes of a cluster have the environment already: that is what makes it the same code.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise RecipeError(
                "engine 'ray': Ray is not installed; run: uv sync --extra ray"
            ) from error
        try:
            ray.init(address="auto", ignore_reinit_error=True, log_to_driver=False)
        except ConnectionError as error:
            raise RecipeError(
                "engine 'ray': no cluster answers; set RAY_ADDRESS, or start one with: ray start --head"
            ) from error
        self._ray = ray
        self.num_workers = num_workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], *, label: str
    ) -> Iterator[tuple[int, R]]:
        """See `Engine.map`."""
        remote = self._ray.remote(function).options(name=label, max_retries=2)
        waiting = iter(enumerate(tasks))
        running: dict[Any, int] = {}
        try:
            while True:
                while len(running) < 2 * self.num_workers and (step := next(waiting, None)):
                    running[remote.remote(step[1])] = step[0]
                if not running:
                    return
                (ready,), _ = self._ray.wait(list(running), num_returns=1)
                result = self._result(ready, f"{label}: part {tasks[running[ready]]}")
                yield running.pop(ready), result
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def close(self) -> None:
        """Leave the cluster running and disconnect from it."""
        self._ray.shutdown()

    def _result(self, reference: Any, where: str) -> Any:
        """Return a task's result, or raise what it raised as if it had run here."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TonsaiError):
                raise error.cause from error
            raise PartError(f"{where}: {error}") from error
        except self._ray.exceptions.RayError as error:
            raise PartError(
                f"{where}: its worker or node died, after two more tries: {error}"
            ) from error
