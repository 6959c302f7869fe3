"""Weights and optimizer state <-> files that know nothing of how many processes wrote them.

    process r: its fragments of each parameter ──write_fragments──▶ state/00000-of-00002-000.safetensors, ...
    any process of any later run: (parameter, from, how many) ──FragmentReader──▶ fp32 values

A fragment is a stretch of a flattened parameter: what one process owns of it, all of it where nothing is
divided. Each is stored under its kind, its start and the parameter's name, so a reader that owns another
stretch puts it together from the fragments it overlaps. Weights are the fp32 masters: bf16 weights are their
rounded copy and are made again on reading. Nothing is unpickled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tonsai_pipeline.errors import StorageError

#: Kinds of values; the last ones are AdamW's two running means, and Muon's.
WEIGHT, AVERAGE, BUFFER = "weight", "average", "buffer"
MOMENTS, MOMENTUM = ("exp_avg", "exp_avg_sq"), "momentum_buffer"
#: Key of an optimizer group that Muon updates: of each parameter, how many matrices it is.
MUON = "muon"
_STEP = "adam_step"
#: Bytes of one file, about: what is copied to host memory at a time, and what an upload repeats at most.
_FILE_BYTES = 1 << 30


@dataclass(frozen=True)
class Fragment:
    """A stretch of one parameter, as this process holds it.

    Args:
        name: The parameter's name in the model.
        start: Where the stretch begins in the flattened parameter.
        weight: (n,) a view of the master weights; fp32, or the parameter's own type where it is not trained.
        key: What the optimizer calls the tensor that `weight` is part of; empty: not trained.
        offset: Where `weight` begins in it.
    """

    name: str
    start: int
    weight: Tensor
    key: Tensor | None = None
    offset: int = 0

    def moment(self, optimizer: torch.optim.Optimizer, kind: str) -> Tensor | None:
        """Return the (n,) view of a running mean; None before the optimizer's first step."""
        if self.key is None or kind not in optimizer.state.get(self.key, {}):
            return None
        flat = optimizer.state[self.key][kind].view(-1)
        return flat.narrow(0, self.offset, self.weight.numel())


def write_fragments(
    folder: Path,
    fragments: Iterable[Fragment],
    optimizer: torch.optim.Optimizer,
    buffers: Mapping[str, Tensor],
    *,
    prefix: str,
    averages: Iterable[tuple[str, int, Tensor]] = (),
) -> list[Path]:
    """Write what this process holds.

    Args:
        folder: Exists.
        fragments: Stretches of parameters.
        optimizer: Its running means are written beside the weights.
        buffers: Values of the network that are not trained, whole.
        prefix: Of the file names; no other process may have the same.
        averages: Name of a parameter, start of a stretch of it, its running mean.

    Returns:
        The files, of about 1 GB each.
    """
    metadata = {"format": "tonsai-state/1", _STEP: str(_adam_step(optimizer))}
    paths: list[Path] = []
    waiting: dict[str, Tensor] = {}
    num_bytes = 0

    def flush() -> None:
        path = folder / f"{prefix}-{len(paths):03d}.safetensors"
        save_file(waiting, path, metadata=metadata)
        paths.append(path)
        waiting.clear()

    averaged = ((_key(AVERAGE, start, name), mean) for name, start, mean in averages)
    for key, value in chain(_values(fragments, optimizer, buffers), averaged):
        # A copy: views of one flat tensor may not stand side by side in a file.
        waiting[key] = value.detach().to("cpu", copy=True).contiguous()
        num_bytes += value.numel() * value.element_size()
        if num_bytes >= _FILE_BYTES:
            flush()
            num_bytes = 0
    if waiting or not paths:
        flush()
    return paths


class FragmentReader:
    """The values in a folder of fragments, whoever wrote them.

    Args:
        folder: What `write_fragments` wrote into, in all its processes.

    Raises:
        StorageError: A file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pieces: dict[tuple[str, str], list[tuple[int, int, Path]]] = defaultdict(list)
        self._files: dict[Path, safe_open] = {}
        self.adam_step = 0.0
        for path in sorted(folder.glob("*.safetensors")):
            try:
                self._index(path)
            except SafetensorError as error:
                raise StorageError(f"{path}: not a file of fragments: {error}") from error

    def has(self, kind: str, name: str) -> bool:
        """Whether values of a kind were saved for a parameter."""
        return (kind, name) in self._pieces

    def read(self, kind: str, name: str, start: int, num: int) -> Tensor:
        """Return (num,) values of a flattened parameter, from `start` on.

        Raises:
            StorageError: They were not saved, or not all of them.
        """
        parts = []
        place, end = start, start + num
        for first, length, path in sorted(self._pieces.get((kind, name), [])):
            if first <= place < min(first + length, end):
                stop = min(first + length, end)
                stored = self._files[path].get_slice(_key(kind, first, name))
                parts.append(stored[place - first : stop - first])
                place = stop
        if place != end or not parts:
            raise StorageError(
                f"{self.folder}: {kind} of {name} ends at {place:,} of {end:,}: the checkpoint is of another "
                "network"
            )
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def buffers(self) -> dict[str, Tensor]:
        """Return the values that are not trained, by name and whole."""
        found = {}
        for kind, name in self._pieces:
            if kind == BUFFER:
                _, _, path = self._pieces[kind, name][0]
                found[name] = self._files[path].get_tensor(_key(BUFFER, 0, name))
        return found

    def _index(self, path: Path) -> None:
        opened = safe_open(path, framework="pt")
        self._files[path] = opened
        self.adam_step = max(self.adam_step, float((opened.metadata() or {}).get(_STEP, 0.0)))
        for key in opened.keys():  # noqa: SIM118  # not a mapping
            kind, start, name = key.split("/", 2)
            shape = opened.get_slice(key).get_shape()
            length = shape[0] if shape else 1
            self._pieces[kind, name].append((int(start), length, path))


def read_fragment(
    reader: FragmentReader, fragment: Fragment, optimizer: torch.optim.Optimizer, *, fused: bool
) -> None:
    """Put saved values into the place of one fragment.

    Args:
        reader: The saved values.
        fragment: Where they go.
        optimizer: Running means that are not there yet are made.
        fused: Whether its step counter lives beside the weights (torch's fused kernel) or on the CPU.
    """
    span = (fragment.name, fragment.start, fragment.weight.numel())
    with torch.no_grad():
        fragment.weight.copy_(reader.read(WEIGHT, *span))
        if fragment.key is None:
            return
        _ensure_state(optimizer, fragment.key, reader.adam_step, fused=fused)
        for kind in moments_of(optimizer, fragment.key):
            moment = fragment.moment(optimizer, kind)
            if moment is not None:
                # Absent before the first step, and for parameters that were frozen until now.
                saved = reader.read(kind, *span) if reader.has(kind, fragment.name) else 0.0
                moment.copy_(saved) if isinstance(saved, Tensor) else moment.fill_(saved)


def _values(
    fragments: Iterable[Fragment], optimizer: torch.optim.Optimizer, buffers: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    for fragment in fragments:
        yield _key(WEIGHT, fragment.start, fragment.name), fragment.weight
        for kind in (*MOMENTS, MOMENTUM):
            moment = fragment.moment(optimizer, kind)
            if moment is not None:
                yield _key(kind, fragment.start, fragment.name), moment
    for name, value in buffers.items():
        yield _key(BUFFER, 0, name), value


def _key(kind: str, start: int, name: str) -> str:
    return f"{kind}/{start}/{name}"


def _adam_step(optimizer: torch.optim.Optimizer) -> float:
    """Return the number of steps that changed the weights: AdamW corrects its means by it."""
    steps = (float(state["step"]) for state in optimizer.state.values() if "step" in state)
    return max(steps, default=0.0)


def moments_of(optimizer: torch.optim.Optimizer, key: Tensor) -> tuple[str, ...]:
    """Return the kinds of running means that an optimizer has of a tensor."""
    is_muon = any(
        group.get(MUON) and any(key is parameter for parameter in group["params"])
        for group in optimizer.param_groups
    )
    return (MOMENTUM,) if is_muon else MOMENTS


def _ensure_state(
    optimizer: torch.optim.Optimizer, key: Tensor, step: float, *, fused: bool
) -> None:
    state = optimizer.state[key]
    if not state:
        if step == 0.0:
            return
        kinds = moments_of(optimizer, key)
        for kind in kinds:
            state[kind] = torch.zeros_like(key, memory_format=torch.preserve_format)
        if kinds == MOMENTS:
            device = key.device if fused else torch.device("cpu")
            state["step"] = torch.zeros((), dtype=torch.float32, device=device)
    if "step" in state:
        state["step"].fill_(step)
