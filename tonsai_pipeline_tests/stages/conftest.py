"""What several tests of stages begin from, made once a module."""

from __future__ import annotations

import pytest

from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.stages.packs import Packed, packed_mixture, run_pack


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(Layout(tmp_path_factory.mktemp("home"), "test"))


@pytest.fixture(scope="module")
def packed(shared_store: Store) -> Packed:
    return run_pack(shared_store, packed_mixture(), LocalEngine(1))
