"""Where a run goes on: its newest whole checkpoint, here or behind the upload URL -> a loaded backend.

    checkpoints/ ──newest whole──▶ backend           empty? ──download──▶ checkpoints/ ──▶ backend

The number of processes, the ZeRO stage and the backend may be others than those that saved.
"""

from __future__ import annotations

import torch.distributed as dist

from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoint, Checkpoints, is_whole
from tonsai_pipeline.train.checkpoints.remote import Remote, download_newest
from tonsai_pipeline.train.spec import TrainRun


def resume(
    run: TrainRun,
    backend: Backend,
    checkpoints: Checkpoints,
    remote: Remote | None,
    reporter: Reporter,
) -> Checkpoint | None:
    """Load the newest whole checkpoint of a run; called in every process.

    Args:
        run: Whether to resume at all.
        backend: Receives weights and optimizer state.
        checkpoints: On this machine.
        remote: Where copies are, asked only if this machine has no whole one; process 0 only.
        reporter: Shows from where.

    Returns:
        The checkpoint; None for a run from the start.

    Raises:
        TrainError: `resume: required`, and there is none.
        StorageError: The remote folder cannot be listed.
    """
    if run.resume == "never":
        checkpoints.clear()
        return None
    found = checkpoints.newest(run.fingerprint)
    if found is None and run.train.checkpoint.upload_url is not None:
        _download(checkpoints, remote, reporter)
        found = checkpoints.newest(run.fingerprint)
    if found is None:
        if run.resume == "required":
            raise TrainError(f"{checkpoints.folder}: no whole checkpoint of this run to resume")
        return None
    checkpoints.load(found, backend.load)
    reporter.log(f"resuming from {found.folder.name}{_difference(found, backend)}")
    return found


def _download(checkpoints: Checkpoints, remote: Remote | None, reporter: Reporter) -> None:
    """Let process 0 bring a checkpoint; if it cannot, all processes end."""
    refusal = [""]
    if remote is not None:
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        try:
            folder = download_newest(
                remote, checkpoints.folder, is_whole=is_whole, on_trouble=reporter.log
            )
            if folder is not None:
                reporter.log(f"downloaded {folder.name} from {remote.url}")
        except StorageError as error:
            refusal = [str(error)]
    if dist.is_initialized():
        dist.broadcast_object_list(refusal, src=0)
    if refusal[0]:
        raise StorageError(f"train.checkpoint.upload_url: {refusal[0]}")


def _difference(found: Checkpoint, backend: Backend) -> str:
    state = found.state
    theirs = (state.backend, state.world_size, state.zero_stage)
    if theirs == (backend.name, backend.world_size, backend.zero_stage):
        return ""
    return (
        f", saved by {state.backend} with {state.world_size} processes and ZeRO {state.zero_stage}: divided "
        f"anew for {backend.name} with {backend.world_size} and ZeRO {backend.zero_stage}"
    )
