"""Rows are ready before they are wanted, and are the rows that were asked for."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.loss import IGNORE
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.loop.batch_plan import BatchPlan, make_plan
from tonsai_pipeline.train.loop.feed import RowFeed
from tonsai_pipeline_tests.train.tiny import make_run


@pytest.fixture
def reader(tiny_data: Path) -> RowReader:
    return RowReader(tiny_data / "shards" / "train")


@pytest.fixture
def plan(tiny_data: Path, reader: RowReader) -> BatchPlan:
    section = make_run(tiny_data, "unused").train
    return make_plan(section, num_rows=reader.num_rows, seq_len=reader.seq_len, world_size=3)


def feed(reader: RowReader, plan: BatchPlan, rank: int = 0) -> RowFeed:
    return RowFeed(reader, plan, rank, positions="row", use_varlen=False, pinned=False)


def ids_of(reader: RowReader, rows: list[int]) -> torch.Tensor:
    empty = torch.full((reader.seq_len,), reader.pad_id)
    return torch.stack(
        [torch.tensor(reader.row(n).input_ids.astype("int64")) if n >= 0 else empty for n in rows]
    )


def test_each_step_gives_its_own_rows_whatever_was_expected(
    reader: RowReader, plan: BatchPlan
) -> None:
    with closing(feed(reader, plan)) as rows:
        for step, following in ((0, 1), (1, 2), (5, 6), (2, None), (3, 4)):
            found = rows.take(step, following)
            wanted = plan.rows_of(step, 0)
            assert len(found.batches) == len(wanted) == 2
            for batch, numbers in zip(found.batches, wanted, strict=True):
                assert torch.equal(batch.input_ids, ids_of(reader, numbers))
            targets = sum(int((b.targets != IGNORE).sum()) for b in found.batches)
            assert found.num_targets == targets > 0


def test_rows_that_fill_up_a_step_predict_nothing(reader: RowReader, plan: BatchPlan) -> None:
    # Eight rows for three processes, two at a time: the last process gets two rows and two empty ones.
    assert plan.rows_of(0, 2) == [[4, 5], [-1, -1]]
    with closing(feed(reader, plan, rank=2)) as rows:
        full, empty = rows.take(0, None).batches
    assert (full.targets != IGNORE).any()
    assert not (empty.targets != IGNORE).any()


def test_a_row_that_cannot_be_read_is_an_error_of_its_own_step(
    reader: RowReader, plan: BatchPlan, monkeypatch
) -> None:
    real = reader.row

    def broken(number: int):
        if number == plan.rows_of(1, 0)[0][0]:
            raise DataError(f"row {number}: torn")
        return real(number)

    monkeypatch.setattr(reader, "row", broken)
    with closing(feed(reader, plan)) as rows:
        rows.take(0, 1)
        with pytest.raises(DataError, match="torn"):
            rows.take(1, 2)
