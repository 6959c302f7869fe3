"""Where the history of runs is kept, and how a person gets to see it."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.cli.graph import GraphOptions, ui_command
from tonsai_pipeline.defs.history_storage import SharedSqliteStorage
from tonsai_pipeline.defs.resources import open_instance
from tonsai_pipeline.defs.web_guard import GuardedStorage
from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.lease import lock_file

PROJECT = Path(__file__).parents[2]


@dg.job
def _nothing() -> None:
    """Do nothing."""


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
    assert ours["storage"]["custom"]["class"] == SharedSqliteStorage.__name__
    placed = {"storage", "compute_logs", "local_artifact_storage"}
    assert {k: v for k, v in ours.items() if k not in placed} == {
        k: v for k, v in project.items() if k not in placed
    }
    with open_instance(elsewhere / "data") as again:
        assert Path(again.root_directory) == elsewhere / "data" / "dagster"


def test_a_new_history_is_made_by_one_process_at_a_time(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makes_tables, made = DagsterSqliteStorage.__init__, []

    def watched(self: DagsterSqliteStorage, base_dir: str, inst_data: object = None) -> None:
        with (
            pytest.raises(StorageError, match="another process holds it"),
            lock_file(Path(base_dir) / "opening.lock", wait=False),
        ):
            pass
        made.append(base_dir)
        makes_tables(self, base_dir, inst_data)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(DagsterSqliteStorage, "__init__", watched)
    with open_instance(elsewhere / "data"):
        assert made == [str(elsewhere / "data" / "dagster")]


def test_old_runs_are_counted_in_the_history_of_the_data_root_that_is_named(
    elsewhere: Path,
) -> None:
    with open_instance(elsewhere / "data") as instance:
        for run_id in ("0" * 32, "1" * 32):
            instance.create_run_for_job(_nothing, run_id=run_id, status=dg.DagsterRunStatus.FAILURE)
    os.environ.pop("DAGSTER_HOME")
    said = CliRunner().invoke(app, ["history", "--keep-days", "0", "--home", "data"])
    assert "2 finished runs older than 0 days may go" in said.output, said.output


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
