"""What DeepSpeed divides among processes -> the fragments that this process holds, and back.

    ZeRO 1, 2   one flat master tensor a group; each process owns a stretch of it
    ZeRO 3      each parameter is cut into as many equal parts as there are processes

This is the only module that looks inside DeepSpeed's optimizers; `test_elastic.py` saves and reads each stage
with each other and would notice if a new version arranged them differently.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.train.backends.muon import OwnedMatrix
from tonsai_pipeline.train.checkpoints.fragments import WEIGHT, Fragment, FragmentReader


def whole_fragments(model: nn.Module) -> list[Fragment]:
    """Return each parameter as one fragment: nothing is divided."""
    return [
        Fragment(name, 0, parameter.data.view(-1), parameter if parameter.requires_grad else None)
        for name, parameter in model.named_parameters()
    ]


def divided_fragments(model: nn.Module, zero: Any, *, stage: int, rank: int) -> list[Fragment]:
    """Return what this process owns.

    Args:
        model: The network.
        zero: DeepSpeed's optimizer around torch's.
        stage: ZeRO 1 to 3.
        rank: This process.
    """
    owned = _cut_fragment if stage == 3 else _flat_fragment
    found = (owned(name, parameter, zero, rank) for name, parameter in model.named_parameters())
    return [fragment for fragment in found if fragment is not None]


def owned_matrices(zero: Any, rank: int) -> list[list[OwnedMatrix]]:
    """Return, for each group, what this process owns of each parameter, and where its whole gradient will lie.

    Args:
        zero: DeepSpeed's optimizer of ZeRO 1 in bf16, the one that keeps whole fp32 gradients in each process and
            clips them before torch's optimizer steps.
        rank: This process.

    Raises:
        TrainError: It is another one.
    """
    if type(zero).__name__ != "BF16_Optimizer" or zero.grad_acc_dtype != torch.float32:
        raise TrainError(
            f"train.optimizer.name: muon: DeepSpeed's {type(zero).__name__} keeps no whole fp32 gradients"
        )
    owned: list[list[OwnedMatrix]] = []
    for parameters, gradients, flat in zip(
        zero.bf16_groups, zero.fp32_groups_gradients, zero.fp32_groups_flat_partition, strict=True
    ):
        size, place, found = flat.numel(), 0, []
        for parameter, gradient in zip(parameters, gradients, strict=True):
            end = place + gradient.numel()
            first, last = max(place, rank * size), min(end, (rank + 1) * size)
            length = max(last - first, 0)
            start, offset = (first - place, first - rank * size) if length else (0, 0)
            is_split = place // size != (end - 1) // size
            whole = gradient.view(parameter.shape)
            found.append(OwnedMatrix(whole, start, offset, length, is_split))
            place = end
        owned.append(found)
    return owned


def refresh_weights(
    model: nn.Module, zero: Any, reader: FragmentReader, *, stage: int, rank: int
) -> None:
    """Make the network's own weights from saved masters, after the masters were read.

    With ZeRO 1 and 2 each process holds all of them and reads all; with ZeRO 3 its own part.
    """
    with torch.no_grad():
        if stage < 3:
            for name, parameter in model.named_parameters():
                full = reader.read(WEIGHT, name, 0, parameter.numel())
                parameter.data.copy_(full.view(parameter.shape))
            return
        # Small parameters stay gathered between steps; they are let go and gathered again.
        kept = list(zero.persistent_parameters)
        if kept:
            kept[0].partition(kept)
        for name, parameter in model.named_parameters():
            fragment = _cut_fragment(name, parameter, zero, rank)
            if fragment is not None:
                _part_of(parameter)[: fragment.weight.numel()].copy_(fragment.weight)
        if kept:
            kept[0].all_gather(kept)


def _flat_fragment(name: str, parameter: Any, zero: Any, rank: int) -> Fragment | None:
    if not parameter.requires_grad:
        # Not divided: every process has it, the first one writes it.
        return Fragment(name, 0, parameter.data.view(-1)) if rank == 0 else None
    mapping = parameter._hp_mapping  # noqa: SLF001  # DeepSpeed's own place for it
    if mapping is None:
        return None
    key = zero.optimizer.param_groups[mapping.param_group_index]["params"][0]
    address = mapping.hp_fragment_address
    weight = key.data.narrow(0, address.start, address.numel)
    return Fragment(name, mapping.lp_fragment_address.start, weight, key, address.start)


def _cut_fragment(name: str, parameter: Any, zero: Any, rank: int) -> Fragment | None:
    part = _part_of(parameter)
    start = rank * part.numel()
    # The last part is filled up to the size of the others.
    num = min(part.numel(), parameter.ds_numel - start)
    if num <= 0:
        return None
    if not parameter.requires_grad:
        return Fragment(name, start, part.narrow(0, 0, num))
    group, offset, _ = zero.grad_position[zero.get_param_id(parameter)]
    key = zero.fp32_partitioned_groups_flat[group]
    return Fragment(name, start, key.data.narrow(0, offset, num), key, offset)


def _part_of(parameter: Any) -> Tensor:
    return parameter.ds_tensor.data.view(-1)


def buffers_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the saved values of a network that are not parameters; tied names count as parameters."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return {
        name: value
        for name, value in model.state_dict().items()
        if name not in parameters and value.numel() > 0
    }
