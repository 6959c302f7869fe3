"""What a corpus costs follows from the measured table: in proportion to bytes, shared by cores, paid while waiting too."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.planner import corpus_cost as costs

TABLE = {
    "date": "2026-01-01",
    "hardware": "one core",
    "text": "generated",
    "stages": {
        "a": {"cpu_s_per_gb": 100.0, "fixed_cpu_s": 10.0},
        "b": {"cpu_s_per_gb": 44.0, "fixed_cpu_s": 0.0},
        "c": {"cpu_s_per_gb": 50.0, "fixed_cpu_s": 0.0, "sample_bytes": 2e9},
    },
}


def test_hours_and_money_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "measured", lambda: TABLE)
    found = costs.corpus_cost(100e9, cores=10, price_per_core_hour=0.5)
    assert [stage.core_s for stage in found.stages] == [10_010.0, 4_400.0, 100.0]
    assert found.core_hours == pytest.approx(14_510 / 3600)
    assert found.hours == pytest.approx((10 + 14_500 / 8) / 3600)
    assert found.money == pytest.approx(found.hours * 10 * 0.5)
    assert costs.corpus_cost(1e9, cores=1).money is None
    for size, cores in ((0, 1), (1e9, 0)):
        with pytest.raises(ValueError, match="at least one core"):
            costs.corpus_cost(size, cores=cores)


def test_the_table_has_every_data_stage() -> None:
    assert list(costs.measured()["stages"]) == list(PIPELINE.up_to("packed_shards"))


def test_plan_prints_it() -> None:
    options = ["--corpus-bytes", "1e12", "--cores", "64", "--price-per-core-hour", "0.04"]
    done = CliRunner().invoke(app, ["plan", *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert "1,000 GB" in done.output
    assert "it costs" in done.output
    for name in PIPELINE.up_to("packed_shards"):
        assert name in done.output
