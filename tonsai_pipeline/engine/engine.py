"""The seam: what a stage may ask of an engine, and how a name becomes one.

"local" | "ray" ──open_engine──▶ Engine
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from tonsai_pipeline.errors import RecipeError

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs a picklable module-level function over tasks."""

    num_workers: int

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], *, label: str
    ) -> Iterator[tuple[int, R]]:
        """Yield (task index, result) as tasks finish, in any order.

        The first failing task raises its error here; tasks not yet started are then dropped.

        Args:
            function: A module-level function; it and the tasks are pickled.
            tasks: One argument each.
            label: What the work is called on the progress bar.
        """
        ...

    def close(self) -> None:
        """Stop the workers; a closed engine starts new ones when it is used again."""
        ...


def open_engine(name: str = "local", *, num_workers: int | None = None) -> Engine:
    """Return the engine of that name.

    Args:
        name: "local" (process pool) or "ray" (the cluster at RAY_ADDRESS, or the one running here).
        num_workers: Parallel tasks; None for every core (local) or what the cluster has (ray).

    Raises:
        RecipeError: The name is unknown, or Ray is asked for and not installed or not running.
    """
    if name == "local":
        from tonsai_pipeline.engine.local import LocalEngine

        return LocalEngine(num_workers)
    if name == "ray":
        from tonsai_pipeline.engine.ray import RayEngine

        return RayEngine(num_workers)
    raise RecipeError(f"engine: {name!r} is unknown; use 'local' or 'ray'")
