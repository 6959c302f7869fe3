"""Bits per byte follow their definition and do not depend on how rows are batched."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.held_out import held_out, measure, open_validation
from tonsai_pipeline.model.loss import IGNORE, Batch, NextTokenLoss
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline_tests.train import tiny


def uniform(batch: Batch) -> torch.Tensor:
    """The loss of a model that gives each of 256 tokens the same chance."""
    return (batch.targets != IGNORE).sum() * math.log(256)


def options(**changes):
    known = {"batch_rows": 3, "max_rows": None, "positions": "row", "use_varlen": False}
    return {**known, "device": torch.device("cpu"), **changes}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_shards(tmp_path_factory.mktemp("shards"), num_rows=4)


def test_a_uniform_guess_costs_eight_bits_a_token(shards: Path) -> None:
    reader = RowReader(shards / "val_khm")
    found = measure(uniform, reader, **options())
    rows = [reader.row(i) for i in range(reader.num_rows)]
    assert found.num_tokens == sum(int(r.cu_seqlens[-1]) - len(r.sources) for r in rows)
    assert found.num_bytes == sum(int(r.num_bytes.sum()) for r in rows)
    assert found.bits_per_byte == pytest.approx(8 * found.num_tokens / found.num_bytes)
    assert found.perplexity == pytest.approx(256)
    assert found.num_rows == 5


def test_the_number_does_not_depend_on_the_batch(shards: Path) -> None:
    special = {"bos": 0, "eos": 1, "pad": 2}
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    loss = NextTokenLoss(model).eval()

    def loss_of(batch: Batch) -> torch.Tensor:
        return loss(batch.input_ids, batch.targets, batch.position_ids, batch.segment_ids)[0]

    reader = RowReader(shards / "val_khm")
    found = [measure(loss_of, reader, **options(batch_rows=n)).bits_per_byte for n in (1, 2, 5)]
    assert max(found) - min(found) < 1e-6


def test_shares_of_processes_add_up_to_the_whole(shards: Path, monkeypatch) -> None:
    reader = RowReader(shards / "val_eng")
    parts: list[torch.Tensor] = []
    monkeypatch.setattr("torch.distributed.all_reduce", lambda sums: parts.append(sums.clone()))
    calls = []

    def loss_of(batch: Batch) -> torch.Tensor:
        calls.append(len(batch.targets))
        return uniform(batch)

    for rank in range(3):
        measure(loss_of, reader, **options(batch_rows=1, rank=rank, world_size=3))
    assert calls == [1] * 6  # four rows, three processes: each is called equally often
    whole = measure(uniform, reader, **options())
    assert sum(parts)[1].item() == whole.num_tokens
    assert sum(parts)[2].item() == whole.num_bytes


def test_max_rows_takes_the_first(shards: Path) -> None:
    assert measure(uniform, RowReader(shards / "val_khm"), **options(max_rows=2)).num_rows == 2


def test_languages_are_the_validation_folders(shards: Path) -> None:
    assert list(open_validation(shards)) == ["eng", "khm"]


def test_shards_without_validation_are_refused(tmp_path: Path) -> None:
    tiny.write_rows(tmp_path / "train", num_rows=1, seed=0)
    with pytest.raises(DataError, match="no validation rows"):
        open_validation(tmp_path)


def test_a_broken_models_perplexity_is_infinite_and_not_an_error() -> None:
    assert held_out(1e6, 10, 10, 1).perplexity == math.inf
