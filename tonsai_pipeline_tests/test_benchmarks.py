"""What the developers' benchmarks make of their numbers."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import table
from benchmarks.comparisons import COMPARISONS, MEMORY, SPEED, Row
from benchmarks.scaling import exponent, least

FACTS = {"date": "2026-01-02", "hardware": "2 cores", "versions": {"peer": "1.0"}}


def test_a_line_has_every_peer_on_the_same_input_and_says_what_failed() -> None:
    rows = [
        Row("raw to shards", "khm", 5.0, "slow", 0.5, SPEED),
        Row("raw to shards", "khm", 5.0, "fast", 10.0, SPEED),
        Row("raw to shards", "khm", 1000.0, "slow", 500.0, MEMORY),
    ]
    known = {
        "whole": {**FACTS, "rows": [row._asdict() for row in rows]},
        "other": {**FACTS, "failed": "no such package"},
    }
    lines = table(known).splitlines()
    assert "| raw to shards | khm | 5 MB/s of CPU | slow 0.5, **10**; fast 10, **0.5** |" in lines
    assert "| raw to shards | khm | 1,000 MB of memory | slow 500, **0.5** |" in lines
    assert "- **other** was not measured: no such package" in lines


def test_rows_are_made_of_what_a_benchmark_prints() -> None:
    one = {"MB/s": 4.0, "further MB/s": 8.0, "peak MB": 10.0}
    found = {"khm": {"text MB": 20.3, "ours": one, "datatrove": dict.fromkeys(one, 2.0)}}
    rows = list(COMPARISONS["whole"].rows(found))
    assert [row.ratio for row in rows] == [2.0, 4.0, 0.2]


@pytest.mark.parametrize(("power", "fixed"), [(1.0, 0.0), (1.0, 5.0), (1.5, 5.0)])
def test_growth_is_told_without_what_is_fixed(power: float, fixed: float) -> None:
    times = [1.0, 4.0, 16.0, 64.0]
    found = exponent(times, [fixed + 0.1 * size**power for size in times])
    assert found == pytest.approx(power, abs=0.02)
    assert exponent(times, [fixed, fixed, fixed, fixed]) is None


def test_the_least_of_two_runs_counts() -> None:
    runs = {"sign": {"cpu_s": 2.0, "peak_mb": 5.0}}, {"sign": {"cpu_s": 1.0, "peak_mb": 6.0}}
    assert least(*runs) == {"sign": {"cpu_s": 1.0, "peak_mb": 5.0}}
