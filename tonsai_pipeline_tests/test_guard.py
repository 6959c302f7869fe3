"""The guard against slowness finds a kernel that became slower, whatever else the machine does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from benchmarks.guard import RATIOS, kernels, ratios, reference, too_slow


@pytest.mark.parametrize(
    ("slower", "found"), [(1.0, False), (1.2, False), (4.0, True), (8.0, True)]
)
def test_a_slower_kernel_is_found_on_a_noisy_machine(slower: float, found: bool) -> None:
    rng, costs = Random(0), {"kernel": 5.0 * slower, "reference": 1.0}
    works: dict[str, Callable[[], str]] = {name: (lambda name=name: name) for name in costs}

    def cost(work: Callable[[], object]) -> float:
        # Every turn is disturbed, some fourfold; few are left alone.
        return costs[str(work())] * (1 + rng.random() ** 2 * 3)

    now = ratios({"kernel": works["kernel"]}, works["reference"], num_rounds=15, cost=cost)
    assert bool(too_slow(now, {"kernel": 5.0})) == found


def test_every_kernel_has_a_limit_and_does_something() -> None:
    every = kernels()
    assert set(every) == set(RATIOS)
    assert all(work() is not None for work in (*every.values(), reference()))
