"""Bytes of a corpus, cores, a price -> CPU hours, hours and money of the data stages, from one measured table.

    stage_costs.json (`python -m benchmarks.scaling`) ──x bytes──▶ StageCost each ──sum──▶ CorpusCost

A prediction: the table was measured on megabytes, and a stage is taken to grow as it did there. Stages are
maps over parts, so cores share the work; what a stage costs whatever the corpus (`fixed`) is spent by one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

COSTS_NAME = "stage_costs.json"
#: Share of the cores' time that the work itself takes; the rest is waiting for the last part of a stage. An assumption.
UTILIZATION = 0.8


@dataclass(frozen=True)
class StageCost:
    """What one stage takes.

    Args:
        name: Of the stage.
        core_s: CPU seconds.
    """

    name: str
    core_s: float


@dataclass(frozen=True)
class CorpusCost:
    """What all data stages take together.

    Args:
        stages: In their order.
        core_hours: CPU hours of all.
        hours: Of the clock, on the cores asked for.
        money: Core hours paid for, waiting included, times the price; None without one.
    """

    stages: tuple[StageCost, ...]
    core_hours: float
    hours: float
    money: float | None


@cache
def measured() -> dict[str, Any]:
    """Return the measured table: date, hardware, and the costs of each stage."""
    found = resources.files("tonsai_pipeline.planner") / COSTS_NAME
    return json.loads(found.read_text(encoding="utf-8"))


def corpus_cost(
    corpus_bytes: float, *, cores: int, price_per_core_hour: float | None = None
) -> CorpusCost:
    """Predict what a corpus costs.

    Args:
        corpus_bytes: UTF-8 bytes of text in the dumps, markup not counted.
        cores: That work at a time.
        price_per_core_hour: In any currency.

    Raises:
        ValueError: No bytes, or no cores.

    Example:
        >>> one, ten = (corpus_cost(size, cores=16) for size in (1e12, 1e13))
        >>> 9 < ten.core_hours / one.core_hours < 11
        True
    """
    if corpus_bytes <= 0 or cores < 1:
        raise ValueError("a corpus has bytes, and at least one core works on it")
    stages, fixed_s = [], 0.0
    for name, cost in measured()["stages"].items():
        read = min(corpus_bytes, cost.get("sample_bytes", corpus_bytes))
        growing = cost["cpu_s_per_gb"] * read / 1e9
        fixed_s += cost["fixed_cpu_s"]
        stages.append(StageCost(name, growing + cost["fixed_cpu_s"]))
    core_s = sum(stage.core_s for stage in stages)
    hours = (fixed_s + (core_s - fixed_s) / (cores * UTILIZATION)) / 3600
    return CorpusCost(
        stages=tuple(stages),
        core_hours=core_s / 3600,
        hours=hours,
        money=None if price_per_core_hour is None else hours * cores * price_per_core_hour,
    )
