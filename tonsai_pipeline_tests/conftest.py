"""What tests share: a store in a temporary folder, engines, and the real text of TONSAI_REAL_DATA."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

# Images of containers often forbid bytecode; every process of the tests would then compile Dagster and torch anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Torch's threads wait for each other by looking again and again: where other processes run too, tiny networks then take
# five to twenty times as long. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing is wrong with a test that takes long on a busy machine, or where it compiles first.
settings.register_profile("tonsai", deadline=None)
settings.load_profile("tonsai")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real Khmer and English text: `khm/*.jsonl.gz`, `eng/*.jsonl.gz`, `vectors/`."""
    folder = os.environ.get("TONSAI_REAL_DATA")
    if not folder:
        pytest.skip(
            "TONSAI_REAL_DATA is not set: point it at a folder of real text to run this test"
        )
    return Path(folder).resolve()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store for a recipe named `test`."""
    return Store(Layout(tmp_path / "home", "test"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skipped where it is not installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def engine() -> Engine:
    """Everything in this process."""
    return LocalEngine(1)


@pytest.fixture(scope="session")
def two_workers() -> Iterator[Engine]:
    """A pool of two processes, started once."""
    engine = LocalEngine(2)
    yield engine
    engine.close()
