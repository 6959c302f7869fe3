"""Which rows are read when depends on the step alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.loop.batch_plan import add_skip, data_step_of, make_plan


def plan(world_size: int = 1, num_rows: int = 100, **train):
    section = TrainConfig(**{"global_batch_tokens": 8 * 16, "micro_batch_rows": 2, **train})
    return make_plan(section, num_rows=num_rows, seq_len=16, world_size=world_size)


@settings(max_examples=60, deadline=None)
@given(
    world_size=st.integers(1, 12),
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
        assert found.count(-1) == cut.num_empty_rows < cut.grad_accum_steps * world
        return sorted(r for r in found if r >= 0)

    assert rows(world_size, micro) == rows(1, 12)


def test_each_pass_reads_every_row_once_and_the_first_in_stored_order() -> None:
    cut = plan(num_rows=16, num_epochs=3.0)
    read = [r for step in range(cut.num_steps) for m in cut.rows_of(step, 0) for r in m]
    passes = [read[i : i + 16] for i in (0, 16, 32)]
    assert passes[0] == list(range(16))
    assert all(sorted(p) == list(range(16)) for p in passes)
    assert passes[1] != passes[2] != passes[0]


@settings(max_examples=60, deadline=None)
@given(windows=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=6))
def test_rows_that_are_passed_over_are_never_read_and_all_others_once(windows) -> None:
    skips = ()
    for first, length in windows:
        skips = add_skip(skips, first, first + length)
    skipped = {s for first, length in windows for s in range(first, first + length)}
    read = [data_step_of(step, skips) for step in range(60)]
    assert read == [s for s in range(200) if s not in skipped][:60]


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
        (9, {}, "8 rows has none for some of 9 processes; train.global_batch_tokens 144 has"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_what_can(world_size, train, message) -> None:
    with pytest.raises(ValueError, match=message):
        plan(world_size, **train)
