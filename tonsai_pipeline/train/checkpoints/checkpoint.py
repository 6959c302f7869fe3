"""The whole training state on disk: written aside, hashed, then renamed; read back newest first.

    checkpoints/step-00000500/{state/..., manifest.json}      manifest last: a folder with one is whole
    checkpoints/.tmp-step-00000750/                           a save that was killed; never read, removed

A damaged checkpoint (a file missing, shorter, or with other bytes) is skipped for the one before it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch.distributed as dist

from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.recipe.train import CheckpointConfig, GuardConfig
from tonsai_pipeline.storage.files import (
    digest_file,
    read_json,
    sync_file,
    translate_os_errors,
    write_json,
)
from tonsai_pipeline.storage.job_folder import check_start
from tonsai_pipeline.storage.manifest import MANIFEST_NAME
from tonsai_pipeline.train.loop.batch_plan import Skips

_FORMAT = "tonsai-checkpoint/3"


@dataclass(frozen=True)
class TrainState:
    """What a run must know besides weights and optimizer to go on as if nothing had happened.

    Args:
        step: Optimizer steps done.
        fingerprint: Name of the run's work.
        backend: Backend that wrote the files.
        world_size: Processes that wrote them.
        zero_stage: How they were divided; for people only, any number of processes reads them.
        tokens: Tokens seen, padding included.
        train_s: Seconds spent training so far, over all attempts.
        skips: Steps of data that are skipped, see `batch_plan.data_step_of`.
        num_rollbacks: How often the run was rolled back.
        loss_scale: Where the loss scale of fp16 stood.
        callbacks: What each callback remembers, by its name.
    """

    step: int
    fingerprint: str
    backend: str
    world_size: int
    zero_stage: int
    tokens: int
    train_s: float
    skips: Skips = ()
    num_rollbacks: int = 0
    loss_scale: Mapping[str, float] = field(default_factory=dict)
    callbacks: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> TrainState:
        """Read what a manifest holds."""
        return cls(**{**raw, "skips": tuple((first, end) for first, end in raw["skips"])})


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    state: TrainState


class Copies(Protocol):
    """Who copies checkpoints elsewhere, see `upload.Uploader`."""

    def enqueue(self, folder: Path) -> None:
        """Copy a checkpoint soon."""

    def forget_after(self, step: int) -> None:
        """Remove the copies of later steps."""

    def is_needed(self, folder: Path) -> bool:
        """Whether a folder must stay."""
        ...


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Where they are, in the run's output folder; the same one for all processes.
        section: How many are kept.
        guards: Disk that must remain, and what to do when less would.
        rank: This process.
        on_trouble: Gets a message about each checkpoint that is skipped or left out, and why.
        expected_bytes: Size of the first checkpoint, about.
        copies: Who copies them elsewhere; process 0 only.

    Attributes:
        last: What was saved or loaded last.
    """

    last: Checkpoint | None = None

    def __init__(
        self,
        folder: Path,
        section: CheckpointConfig,
        guards: GuardConfig,
        *,
        rank: int,
        on_trouble: Callable[[str], None],
        expected_bytes: int = 0,
        copies: Copies | None = None,
    ) -> None:
        self.folder = folder
        self.section = section
        self.guards = guards
        self.rank = rank
        self.on_trouble = on_trouble
        self.expected_bytes = expected_bytes
        self.copies = copies

    def newest(self, fingerprint: str, *, at_most: int | None = None) -> Checkpoint | None:
        """Return the newest whole checkpoint of a run; the same in every process.

        Args:
            fingerprint: Name of the run's work.
            at_most: Step beyond which none is wanted.
        """
        chosen: list[Checkpoint | None] = [None]
        if self.rank == 0:
            chosen = [self._newest(fingerprint, at_most)]
        if dist.is_initialized():
            dist.broadcast_object_list(chosen, src=0)
        return chosen[0]

    def save(self, state: TrainState, write: Callable[[Path], list[Path]]) -> Path | None:
        """Write a checkpoint; called in every process.

        Args:
            state: Saved in the manifest.
            write: Writes this process's files into the folder it is given, and returns them.

        Returns:
            The checkpoint's folder; None if the disk is nearly full and the recipe says to go on without.

        Raises:
            TrainError: Too little disk would remain, and the recipe says to stop; nothing was written.
            TrainError: The others began again without this process.
            StorageError: The disk refused.
        """
        final = self.folder / f"step-{state.step:08d}"
        building = self.folder / f".tmp-{final.name}"
        if self.rank == 0:
            with translate_os_errors(self.folder):
                for killed in self.folder.glob(".tmp-step-*"):
                    shutil.rmtree(killed)
                building.mkdir(parents=True)
        if not self._has_space(state.step):
            if self.rank == 0:
                building.rmdir()
            return None
        with translate_os_errors(building):
            # Each process flushes and hashes what it wrote: many disks and cores, one folder.
            entries = _gather(
                {p.relative_to(building).as_posix(): _seal(p) for p in write(building)}
            )
        if self.rank == 0:
            check_start(self.folder.parent)
            with translate_os_errors(final):
                manifest = {"format": _FORMAT, "state": asdict(state), "files": entries}
                write_json(building / MANIFEST_NAME, manifest)
                if final.exists():
                    shutil.rmtree(final)
                building.rename(final)
            if self.copies is not None:
                self.copies.enqueue(final)
            self._prune()
        _barrier()
        self.last = Checkpoint(final, state)
        return final

    def load(self, found: Checkpoint, read: Callable[[Path], None]) -> None:
        """Restore a checkpoint; called in every process.

        Args:
            found: What `newest` returned.
            read: Restores this process's part from the folder.
        """
        read(found.folder)
        self.last = found

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of later steps, here and where they were copied to."""
        if self.rank == 0:
            for folder in self._folders():
                if step_of(folder.name) > step:
                    shutil.rmtree(folder)
            if self.copies is not None:
                self.copies.forget_after(step)
        _barrier()

    def clear(self) -> None:
        """Remove every checkpoint, here and where they were copied to, to start anew."""
        if self.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.copies is not None:
                self.copies.forget_after(-1)
        _barrier()

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _newest(self, fingerprint: str, at_most: int | None) -> Checkpoint | None:
        for folder in reversed(self._folders()):
            if at_most is not None and step_of(folder.name) > at_most:
                continue
            try:
                state = read_checkpoint(folder)
            except StorageError as error:
                self.on_trouble(f"skipping a damaged checkpoint: {error}")
                continue
            if state.fingerprint == fingerprint:
                return Checkpoint(folder, state)
        return None

    def _has_space(self, step: int) -> bool:
        """Expect a save as large as the last one, or as the first is likely to be."""
        shortage = [""]
        if self.rank == 0:
            last = self._folders()[-1:]
            sizes = [f.stat().st_size for p in last for f in p.rglob("*") if f.is_file()]
            needed = sum(sizes) if sizes else self.expected_bytes
            free = shutil.disk_usage(self.folder).free
            if free - needed < self.guards.min_free_gb * 1e9:
                shortage[0] = (
                    f"{free / 1e9:.1f} GB are free, a checkpoint needs {needed / 1e9:.1f} GB and "
                    f"{self.guards.min_free_gb:.1f} GB must remain (train.guards.min_free_gb)"
                )
        if dist.is_initialized():
            dist.broadcast_object_list(shortage, src=0)
        if not shortage[0]:
            return True
        if self.guards.on_full_disk == "skip":
            self.on_trouble(f"step {step:,} is not saved: {self.folder}: {shortage[0]}")
            return False
        found = self._folders()
        raise TrainError(
            f"{self.folder}: {shortage[0]}; free some space, then run the same command again: it goes on from "
            "the last checkpoint",
            step=step,
            checkpoint=str(found[-1]) if found else None,
        )

    def _prune(self) -> None:
        for name in surplus([folder.name for folder in self._folders()], self.section):
            folder = self.folder / name
            if self.copies is None or not self.copies.is_needed(folder):
                shutil.rmtree(folder)


def read_checkpoint(folder: Path) -> TrainState:
    """Check every byte of a checkpoint and return its state.

    Raises:
        StorageError: It is unfinished or damaged; the message names the file.
    """
    raw = cast("dict[str, Any]", read_json(folder / MANIFEST_NAME))
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise StorageError(f"{folder / MANIFEST_NAME}: not a {_FORMAT} manifest")
    for name, entry in raw["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["num_bytes"]:
            raise StorageError(f"{path}: missing or cut short")
        if digest_file(path) != entry["sha256"]:
            raise StorageError(f"{path}: its bytes changed since it was written")
    return TrainState.from_json(raw["state"])


def is_whole(folder: Path) -> bool:
    """Whether every byte of a checkpoint is as it was written."""
    try:
        read_checkpoint(folder)
    except StorageError:
        return False
    return True


def _seal(path: Path) -> dict[str, int | str]:
    """Flush a file to the device, and describe it."""
    sync_file(path)
    return {"num_bytes": path.stat().st_size, "sha256": digest_file(path)}


def _gather(own: dict[str, dict[str, int | str]]) -> dict[str, dict[str, int | str]]:
    """Join what the processes wrote; also waits until all have."""
    if not dist.is_initialized():
        return own
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, own)
    return {name: entry for part in everyones for name, entry in part.items()}


def step_of(name: str) -> int:
    """Return the step of a checkpoint by its folder's name."""
    return int(name.removeprefix("step-"))


def surplus(names: Sequence[str], section: CheckpointConfig) -> list[str]:
    """Return the checkpoints, of all from the oldest on, that the recipe does not keep."""
    every = section.keep_every_steps
    older = names[: -section.keep_last]
    return [name for name in older if every is None or step_of(name) % every]


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
