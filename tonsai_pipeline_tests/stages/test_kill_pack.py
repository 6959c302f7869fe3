"""Packing that is killed goes on to the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.crash import (
    assert_survives_a_kill_from_outside,
    assert_survives_kills,
)
from tonsai_pipeline_tests.stages.mixtures import build_mixture
from tonsai_pipeline_tests.stages.packs import TEXTS, run_pack

_HERE = "tonsai_pipeline_tests.stages.test_kill_pack"


def run_small_pack(store: Store, num_workers: str) -> Artifact:
    """What the killed process does."""
    texts = {name: said[:60] for name, said in TEXTS.items()}
    engine = LocalEngine(int(num_workers))
    try:
        config = PackingConfig(seq_len=64, shard_rows=32)
        return run_pack(store, build_mixture(texts), engine, config).artifact
    finally:
        engine.close()


@pytest.mark.slow
def test_a_pack_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    # The first renames are those of the mixture and the tokenizer; kills go on to the tokens and the shards.
    assert_survives_kills(
        f"{_HERE}:run_small_pack", ["1"], tmp_path, kills=[40, 3, 5, 8, 13, 7, 4], at_least=8
    )


@pytest.mark.slow
def test_a_pack_killed_from_outside_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    assert_survives_a_kill_from_outside(
        f"{_HERE}:run_small_pack",
        ["2"],
        tmp_path,
        pattern="building/packed_shards/**/shard-*.bin",
        asset="packed_shards",
    )
