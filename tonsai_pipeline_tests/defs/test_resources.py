"""Where the history of runs is kept, and how a person gets to see it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tonsai_pipeline.cli.graph import GraphOptions, ui_command
from tonsai_pipeline.defs.resources import open_instance
from tonsai_pipeline.defs.web_guard import GuardedStorage

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is no project, in a process without DAGSTER_HOME."""
    monkeypatch.chdir(tmp_path)
    # Set before it is taken away, so that what `open_instance` sets goes with the test.
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    return tmp_path


def test_a_history_in_the_data_root_has_the_guard_and_the_limits_of_the_project(
    elsewhere: Path,
) -> None:
    with open_instance(elsewhere / "data") as instance:
        assert Path(instance.root_directory) == elsewhere / "data" / "dagster"
        assert instance.run_retries_enabled
    ours = yaml.safe_load((elsewhere / "data" / "dagster" / "dagster.yaml").read_text())
    project = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    assert ours["local_artifact_storage"]["class"] == GuardedStorage.__name__
    placed = {"storage", "compute_logs", "local_artifact_storage"}
    assert {k: v for k, v in ours.items() if k not in placed} == {
        k: v for k, v in project.items() if k not in placed
    }
    with open_instance(elsewhere / "data") as again:
        assert Path(again.root_directory) == elsewhere / "data" / "dagster"


def test_the_command_for_the_web_ui_names_all_that_the_runs_were_given(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = GraphOptions(home=Path("data"), data=Path("my texts"))
    assert ui_command("my.yaml", options) == (
        f"TONSAI_RECIPE=my.yaml TONSAI_HOME={elsewhere}/data TONSAI_DATA='{elsewhere}/my texts' "
        f"DAGSTER_HOME={elsewhere}/data/dagster dagster dev -m tonsai_pipeline.definitions"
    )
    monkeypatch.chdir(PROJECT)
    assert ui_command("demo", GraphOptions()) == "uv run dagster dev"
