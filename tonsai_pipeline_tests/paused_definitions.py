"""The definitions, in whose runs a stage waits where it is told to: behind its work, before that is published.

The file TONSAI_PAUSE names the stage; beside it, `.at` tells the process that has come there. A stage that launches a
process does not wait: what it launched is to be found at work.
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


def _wait(asset: str) -> None:
    if not _PAUSE.exists() or _PAUSE.read_text() != asset:
        return
    at = _PAUSE.with_suffix(".at")
    at.with_suffix(".new").write_text(f"{asset} {os.getpid()}")
    at.with_suffix(".new").replace(at)
    while asset not in MODEL_ASSETS and _PAUSE.exists() and _PAUSE.read_text() == asset:
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
