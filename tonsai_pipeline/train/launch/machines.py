"""The machines of a training prove that they see one folder, before anything is trained.

each machine writes a mark ──▶ folder of the run ──▶ each looks for the marks of all others ──▶ joined.json, or an error
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.distributed as dist

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.storage.job_folder import write_joined

#: A network file system may show what another machine wrote as late as that.
_PATIENCE_S = 60.0


def meet(folder: Path) -> list[dict[str, Any]]:
    """Say which machines take part, and make sure that they share the folder; called in every process.

    Args:
        folder: Output folder of the run.

    Returns:
        For each machine its `host` and `num_processes`.

    Raises:
        TrainError: A machine does not see what another one wrote there; in every process.
    """
    host = socket.gethostname()
    # torchrun numbers machines; two of one name are possible. DeepSpeed's launcher does not.
    own = (os.environ.get("GROUP_RANK", host), host, uuid.uuid4().hex[:8])
    everyone = _gather(own)
    counts = Counter(name for name, _, _ in everyone)
    hosts = {name: host for name, host, _ in everyone}
    if len(counts) > 1:
        _check_shared(folder, own[0], everyone[0][2], hosts)
    machines = [{"host": hosts[name], "num_processes": count} for name, count in counts.items()]
    if not dist.is_initialized() or dist.get_rank() == 0:
        write_joined(folder, machines)
    return machines


def _check_shared(folder: Path, own: str, nonce: str, hosts: dict[str, str]) -> None:
    def mark(name: str) -> Path:
        return folder / f".met-{nonce}-{name}"

    def write() -> str:
        try:
            mark(own).touch()
        except OSError as error:
            return f"{hosts[own]} cannot write: {error}"
        return ""

    def look() -> str:
        deadline = time.monotonic() + _PATIENCE_S
        unseen = list(hosts)
        while unseen := [name for name in unseen if not mark(name).exists()]:
            if time.monotonic() > deadline:
                return f"{hosts[own]} does not see what {', '.join(hosts[n] for n in unseen)} wrote"
            time.sleep(0.2)
        return ""

    _raise_any(folder, _gather(write()))
    try:
        _raise_any(folder, _gather(look()))
    finally:
        mark(own).unlink(missing_ok=True)


def _raise_any(folder: Path, problems: Sequence[str]) -> None:
    if found := sorted(set(filter(None, problems))):
        raise TrainError(
            f"{folder}: {'; '.join(found)}; all machines of a training need one folder, on storage that they share"
        )


def _gather(value: Any) -> list[Any]:
    if not dist.is_initialized():
        return [value]
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, value)
    return everyones
