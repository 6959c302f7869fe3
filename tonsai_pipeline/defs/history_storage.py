"""Dagster's history in SQLite, opened by one process at a time: two that both find it empty would both make its tables.

two `tonsai run` at once in an empty folder ──▶ two versions noted in each database ──▶ nothing opens it again (Dagster 1.13)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from tonsai_pipeline.storage.lease import lock_file


class SharedSqliteStorage(DagsterSqliteStorage):
    """SQLite as without it, but that its first processes wait for each other."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        with lock_file(Path(base_dir) / "opening.lock"):
            super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> SharedSqliteStorage:
        """Open the storage; Dagster calls this in every process that reads `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)
