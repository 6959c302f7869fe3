"""Which rows are read when depends on the step alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.plan import make_plan


def plan(world_size: int = 1, num_rows: int = 100, **train):
    section = TrainConfig(**{"global_batch_tokens": 8 * 16, "micro_batch_rows": 2, **train})
    return make_plan(section, num_rows=num_rows, seq_len=16, world_size=world_size)


@settings(max_examples=60, deadline=None)
@given(
    world_size=st.sampled_from([1, 2, 3, 4, 6, 12]),
    micro=st.integers(1, 12),
    num_rows=st.integers(1, 50),
    step=st.integers(0, 9),
)
def test_all_processes_together_read_the_same_rows_of_a_step(
    world_size: int, micro: int, num_rows: int, step: int
) -> None:
    def rows(world: int, micro_rows: int) -> list[int]:
        cut = plan(world, num_rows, global_batch_tokens=12 * 16, micro_batch_rows=micro_rows)
        found = [r for rank in range(world) for micro in cut.rows_of(step, rank) for r in micro]
        assert len(found) == 12
        return sorted(found)

    assert rows(world_size, micro) == rows(1, 12)


def test_each_pass_reads_every_row_once_and_the_first_in_stored_order() -> None:
    cut = plan(num_rows=16, num_epochs=3.0)
    read = [r for step in range(cut.num_steps) for m in cut.rows_of(step, 0) for r in m]
    passes = [read[i : i + 16] for i in (0, 16, 32)]
    assert passes[0] == list(range(16))
    assert all(sorted(p) == list(range(16)) for p in passes)
    assert passes[1] != passes[2] != passes[0]


def test_a_run_is_rounded_up_to_whole_steps() -> None:
    assert plan(num_rows=17).num_steps == 3
    assert plan(max_tokens=129).num_steps == 2
    assert plan(max_tokens=129).total_tokens == 256


def test_micro_batches_divide_a_processs_share_evenly() -> None:
    cut = plan(world_size=2, global_batch_tokens=12 * 16, micro_batch_rows=4)
    assert (cut.micro_rows, cut.grad_accum_steps) == (3, 2)


@pytest.mark.parametrize(
    ("world_size", "train", "message"),
    [
        (1, {"global_batch_tokens": 100}, "multiple of the row length 16; the nearest that is: 96"),
        (1, {"global_batch_tokens": 3}, "the nearest that is: 16"),
        (3, {}, "8 rows cannot be divided among 3 processes; train.global_batch_tokens 144 can"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_what_can(world_size, train, message) -> None:
    with pytest.raises(ValueError, match=message):
        plan(world_size, **train)
