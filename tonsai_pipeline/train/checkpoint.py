"""The whole training state on disk: written aside, hashed, then renamed; read back newest first.

    checkpoints/step-00000500/{state/..., manifest.json}      manifest last: a folder with one is whole
    checkpoints/.tmp-step-00000750/                           a save that was killed; never read, removed

A damaged checkpoint (a file missing, shorter, or with other bytes) is passed over for the one before it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch.distributed as dist

from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.recipe.train import CheckpointConfig
from tonsai_pipeline.storage.files import (
    digest_file,
    read_json,
    sync_file,
    translate_os_errors,
    write_json,
)

_MANIFEST = "manifest.json"
_FORMAT = "tonsai-checkpoint/1"


@dataclass(frozen=True)
class TrainState:
    """What a run must know besides weights and optimizer to go on as if nothing had happened.

    Args:
        step: Optimizer steps done.
        fingerprint: Name of the run's work.
        engine: Engine that wrote the files.
        world_size: Processes that wrote them.
        zero_stage: How they were divided.
        tokens: Tokens seen, padding included.
        skipped_in_a_row: Steps just before this one that changed nothing.
        train_s: Seconds spent training so far, over all attempts.
    """

    step: int
    fingerprint: str
    engine: str
    world_size: int
    zero_stage: int
    tokens: int
    skipped_in_a_row: int
    train_s: float


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    state: TrainState


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Where they are.
        section: How many are kept.
        min_free_bytes: Disk that must remain after a save.
        rank: This process.
        on_damage: Told about each checkpoint that is passed over, and why.
    """

    def __init__(
        self,
        folder: Path,
        section: CheckpointConfig,
        *,
        min_free_bytes: int,
        rank: int,
        on_damage: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.section = section
        self.min_free_bytes = min_free_bytes
        self.rank = rank
        self.on_damage = on_damage

    def newest(self, fingerprint: str) -> Checkpoint | None:
        """Return the newest whole checkpoint of a run; the same in every process."""
        chosen: list[Checkpoint | None] = [None]
        if self.rank == 0:
            chosen = [self._newest(fingerprint)]
        if dist.is_initialized():
            dist.broadcast_object_list(chosen, src=0)
        return chosen[0]

    def save(self, state: TrainState, write: Callable[[Path], None]) -> Path:
        """Write a checkpoint; called in every process.

        Args:
            state: Saved in the manifest.
            write: Writes this process's files into the folder it is given.

        Returns:
            The checkpoint's folder.

        Raises:
            TrainError: Too little disk would remain; nothing was written.
            StorageError: The disk refused.
        """
        final = self.folder / f"step-{state.step:08d}"
        building = self.folder / f".tmp-{final.name}"
        if self.rank == 0:
            with translate_os_errors(self.folder):
                shutil.rmtree(building, ignore_errors=True)
                building.mkdir(parents=True)
        self._check_space(state.step)
        with translate_os_errors(building):
            write(building)
        _barrier()
        if self.rank == 0:
            with translate_os_errors(final):
                _seal(building, state)
                if final.exists():
                    shutil.rmtree(final)
                building.rename(final)
            self._prune()
        _barrier()
        return final

    def clear(self) -> None:
        """Remove every checkpoint, to start anew."""
        if self.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        _barrier()

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _newest(self, fingerprint: str) -> Checkpoint | None:
        for folder in reversed(self._folders()):
            try:
                state = read_checkpoint(folder)
            except StorageError as error:
                self.on_damage(f"passing over a damaged checkpoint: {error}")
                continue
            if state.fingerprint == fingerprint:
                return Checkpoint(folder, state)
        return None

    def _check_space(self, step: int) -> None:
        """Expect a save as large as the last one."""
        shortage = [""]
        if self.rank == 0:
            last = self._folders()[-1:]
            needed = sum(f.stat().st_size for p in last for f in p.rglob("*") if f.is_file())
            free = shutil.disk_usage(self.folder).free
            if free - needed < self.min_free_bytes:
                shortage = [
                    f"{free / 1e9:.1f} GB are free, a checkpoint needs {needed / 1e9:.1f} GB"
                ]
        if dist.is_initialized():
            dist.broadcast_object_list(shortage, src=0)
        if shortage[0]:
            found = self._folders()
            raise TrainError(
                f"{self.folder}: {shortage[0]} and train.guards.min_free_gb must remain; free some space, then "
                "run the same command again: it goes on from the last checkpoint",
                step=step,
                checkpoint=str(found[-1]) if found else None,
            )

    def _prune(self) -> None:
        every = self.section.keep_every_steps
        for folder in self._folders()[: -self.section.keep_last]:
            step = int(folder.name.removeprefix("step-"))
            if every is None or step % every:
                shutil.rmtree(folder)


def read_checkpoint(folder: Path) -> TrainState:
    """Check every byte of a checkpoint and return its state.

    Raises:
        StorageError: It is unfinished or damaged; the message names the file.
    """
    raw = cast("dict[str, Any]", read_json(folder / _MANIFEST))
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise StorageError(f"{folder / _MANIFEST}: not a {_FORMAT} manifest")
    for name, entry in raw["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["num_bytes"]:
            raise StorageError(f"{path}: missing or cut short")
        if digest_file(path) != entry["sha256"]:
            raise StorageError(f"{path}: its bytes changed since it was written")
    return TrainState(**raw["state"])


def _seal(folder: Path, state: TrainState) -> None:
    """Flush and hash every file, then write the manifest."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sync_file(path)
            files[path.relative_to(folder).as_posix()] = {
                "num_bytes": path.stat().st_size,
                "sha256": digest_file(path),
            }
    write_json(folder / _MANIFEST, {"format": _FORMAT, "state": asdict(state), "files": files})


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
