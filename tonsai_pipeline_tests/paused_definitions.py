"""The definitions, in whose runs a stage waits where it is told to: behind its work, before that is published.

The file TONSAI_PAUSE names the stages; beside it, `.at` tells the stage and the process that has come there. A stage that
launches a process waits before that: what it launches is to be found at work.
"""

import os
import time
from pathlib import Path
from typing import Any

from tonsai_pipeline.definitions import definitions  # noqa: F401 (Dagster looks for it here)
from tonsai_pipeline.missing import MODEL_ASSETS
from tonsai_pipeline.storage.store import Artifact, Store

_PAUSE = Path(os.environ["TONSAI_PAUSE"])
_materialize = Store.materialize


def _is_told_to_wait(asset: str) -> bool:
    return _PAUSE.exists() and asset in _PAUSE.read_text().split()


def _wait(asset: str) -> None:
    if not _is_told_to_wait(asset):
        return
    at = _PAUSE.with_suffix(".at")
    at.with_suffix(".come").write_text(f"{asset} {os.getpid()}")
    at.with_suffix(".come").replace(at)
    while _is_told_to_wait(asset):
        time.sleep(0.05)


def materialize(
    self: Store, asset: str, partition: str | None, key: str, make: Any, **rest: Any
) -> Artifact:
    def paused(folder: Path) -> object:
        if asset in MODEL_ASSETS:
            _wait(asset)
        report = make(folder)
        if asset not in MODEL_ASSETS:
            _wait(asset)
        return report

    return _materialize(self, asset, partition, key, paused, **rest)


Store.materialize = materialize
