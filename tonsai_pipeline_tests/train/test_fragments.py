"""Fragments written by any number of processes are read by any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.train.checkpoints import fragments
from tonsai_pipeline.train.checkpoints.fragments import (
    MOMENTS,
    WEIGHT,
    Fragment,
    FragmentReader,
    read_fragment,
    write_fragments,
)


def trained(
    sizes: list[int], num_steps: int = 3
) -> tuple[list[torch.nn.Parameter], torch.optim.AdamW]:
    """Parameters that AdamW has moved."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    for _ in range(num_steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return parameters, optimizer


def cut(parameters: list[torch.nn.Parameter], borders: list[int], rank: int) -> list[Fragment]:
    """The part of each parameter between two borders of all parameters laid end to end."""
    low, high, place, found = borders[rank], borders[rank + 1], 0, []
    for number, parameter in enumerate(parameters):
        start, end = max(low - place, 0), min(high - place, parameter.numel())
        if start < end:
            weight = parameter.data.view(-1)[start:end]
            found.append(Fragment(f"p{number}", start, weight, parameter, start))
        place += parameter.numel()
    return found


def save(folder: Path, parameters, optimizer, borders: list[int]) -> None:
    for rank in range(len(borders) - 1):
        own = cut(parameters, borders, rank)
        write_fragments(folder, own, optimizer, {}, prefix=f"{rank:05d}")


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    old=st.lists(st.integers(0, 45), max_size=3),
    new=st.lists(st.integers(0, 45), max_size=3),
)
def test_any_division_is_read_into_any_other(tmp_path_factory, sizes, old, new) -> None:
    folder, total = tmp_path_factory.mktemp("f"), sum(sizes)
    parameters, optimizer = trained(sizes)
    save(folder, parameters, optimizer, sorted([0, *(min(b, total) for b in old), total]))
    others, empty = trained(sizes, num_steps=0)
    reader = FragmentReader(folder)
    borders = sorted([0, *(min(b, total) for b in new), total])
    for rank in range(len(borders) - 1):
        for fragment in cut(others, borders, rank):
            read_fragment(reader, fragment, empty, fused=False)
    for parameter, other in zip(parameters, others, strict=True):
        assert torch.equal(parameter, other)
        for kind in ("step", *MOMENTS):
            assert torch.equal(optimizer.state[parameter][kind], empty.state[other][kind])


def test_before_the_first_step_there_are_no_means_to_read(tmp_path: Path) -> None:
    parameters, optimizer = trained([4], num_steps=0)
    save(tmp_path, parameters, optimizer, [0, 4])
    others, later = trained([4], num_steps=2)
    for fragment in cut(others, [0, 4], 0):
        read_fragment(FragmentReader(tmp_path), fragment, later, fused=False)
    assert torch.equal(parameters[0], others[0])
    # A rollback to the very start forgets the means that were gathered since.
    assert float(later.state[others[0]]["step"]) == 0.0
    assert not later.state[others[0]]["exp_avg"].any()


def test_a_frozen_parameter_and_buffers_keep_their_type(tmp_path: Path) -> None:
    _, optimizer = trained([2])
    frozen = Fragment("frozen", 0, torch.ones(3, dtype=torch.bfloat16))
    write_fragments(tmp_path, [frozen], optimizer, {"count": torch.tensor(7)}, prefix="0")
    reader = FragmentReader(tmp_path)
    assert reader.read(WEIGHT, "frozen", 0, 3).dtype == torch.bfloat16
    assert reader.buffers()["count"].item() == 7
    assert not reader.has("exp_avg", "frozen")


def test_large_states_are_written_in_several_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fragments, "_FILE_BYTES", 100)
    parameters, optimizer = trained([30, 30, 30])
    paths = write_fragments(tmp_path, cut(parameters, [0, 90], 0), optimizer, {}, prefix="0")
    assert len(paths) == 9
    assert torch.equal(FragmentReader(tmp_path).read(WEIGHT, "p2", 0, 30), parameters[2])


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    parameters, optimizer = trained([4])
    save(tmp_path, parameters, optimizer, [0, 4])
    reader = FragmentReader(tmp_path)
    with pytest.raises(StorageError, match="weight of p0 ends at 4 of 6"):
        reader.read(WEIGHT, "p0", 0, 6)
    with pytest.raises(StorageError, match="of other"):
        reader.read(WEIGHT, "other", 0, 1)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "00000-000.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(StorageError, match=r"00000-000\.safetensors: not a file of fragments"):
        FragmentReader(tmp_path)
