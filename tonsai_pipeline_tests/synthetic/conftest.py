"""Two samples, each written once: a small one in full, and the plan of a large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.synthetic.corpus import PlannedDump, plan_dumps
from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps
from tonsai_pipeline.synthetic.truth import SyntheticTruth


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticTruth]:
    folder = tmp_path_factory.mktemp("small_sample")
    return folder, write_synthetic_dumps(folder, seed=3, scale=0.05)


@pytest.fixture(scope="session")
def full_plan() -> list[PlannedDump]:
    return plan_dumps(0, 1.0)
