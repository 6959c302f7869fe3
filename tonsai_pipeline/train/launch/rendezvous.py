"""One training on several machines: who starts it says so in the run's folder, and the others find it there.

    launching machine ──nodes.json, with a count that grows──▶ folder of the run, shared ──▶ `tonsai node` on the others
                      ◀────────────── torchrun's rendezvous (c10d) at host:port ──────────────▶
    a machine that comes later ──knock-<address>──▶ the training saves and starts again with it

The folder is all that they need to know of each other beforehand: whoever reads the count grow there sees the same
storage. Which machines take part in a start is agreed on by torchrun alone.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tonsai_pipeline.errors import StorageError, TrainError
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.job_folder import JOINED_NAME, read_joined

NODES_NAME = "nodes.json"
BEAT_S = 2.0
#: torchrun's own values. With fewer machines than the most, each start waits for so long for one more.
_LAST_CALL_S, _JOIN_S = 30, 600
_KNOCKS = "knock-*"
#: What must be of one version on all machines.
_SAME = ("tonsai-pipeline", "torch", "deepspeed", "transformers")


@dataclass(frozen=True)
class Rendezvous:
    """Where the torchruns of several machines meet.

    Args:
        nodes: How many machines, as torchrun writes it: `2`, or `1:4` for one to four.
        is_host: Whether this machine starts the training; it is the one that the others meet at.
        endpoint: host:port of that machine.
        address: By which the others reach this machine.
        id: Of this start.
        last_call_s: Seconds to wait for one more machine once the least number is there.
    """

    nodes: str
    is_host: bool = True
    endpoint: str = ""
    address: str = ""
    id: str = ""
    last_call_s: int = _LAST_CALL_S

    @classmethod
    def parse(cls, nodes: str) -> Rendezvous | None:
        """Read how many machines a person asked for; None for this one alone.

        Raises:
            TrainError: It is no such number, or the least is above the most.

        Example:
            >>> Rendezvous.parse("1"), Rendezvous.parse("1:4").most
            (None, 4)
        """
        numbers = nodes.split(":")
        if len(numbers) > 2 or not all(n.isdecimal() and int(n) for n in numbers):
            raise TrainError(f"nodes '{nodes}': say how many machines, 2, or from one to four, 1:4")
        found = cls(nodes)
        if found.least > found.most:
            raise TrainError(f"nodes '{nodes}': the least is above the most")
        return found if found.most > 1 else None

    @property
    def least(self) -> int:
        """Machines without which it does not begin."""
        return int(self.nodes.split(":")[0])

    @property
    def most(self) -> int:
        """Machines beyond which the others are spare."""
        return int(self.nodes.split(":")[-1])

    def opened(self) -> Rendezvous:
        """Return the place for one start; TONSAI_RENDEZVOUS, host or host:port, says how others reach this machine."""
        if not self.is_host:
            return self
        host, _, port = os.environ.get("TONSAI_RENDEZVOUS", "").partition(":")
        host = host or own_address("192.0.2.1")
        endpoint = f"{host}:{port or free_port()}"
        return replace(self, endpoint=endpoint, address=host, id=uuid.uuid4().hex[:12])

    def arguments(self) -> list[str]:
        """Return what torchrun is told."""
        conf = f"is_host={int(self.is_host)},last_call_timeout={self.last_call_s},join_timeout={_JOIN_S}"
        return [
            *("--nnodes", self.nodes, "--rdzv-backend", "c10d", "--rdzv-endpoint", self.endpoint),
            *("--rdzv-id", self.id, "--rdzv-conf", conf, "--local-addr", self.address),
        ]

    def nobody_came(self) -> str:
        """Say what is likely if no process of a training ever began."""
        return (
            f"no training process began: fewer than {self.least} machines came to {self.endpoint} within {_JOIN_S} s "
            "(run `tonsai node` on the others, with the same data root on shared storage), or torchrun failed, see the "
            "log above"
        )


class Announcement(BaseModel):
    """What `nodes.json` says of a training that machines may join."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    module: str = Field(pattern=r"^tonsai_pipeline[a-z_]*(\.[a-z_]+)+$")
    folder: Path
    """Of the run, where the launching machine sees it."""

    nodes: str
    endpoint: str
    id: str
    last_call_s: int
    versions: dict[str, str]
    beat: int
    """Grows while the launching machine lives."""

    @classmethod
    def read(cls, path: Path) -> Announcement | None:
        """Read it; None if it is gone by now.

        Raises:
            StorageError: It is something else.
        """
        try:
            return cls.model_validate(read_json(path))
        except StorageError:
            if path.exists():
                raise
            return None
        except ValueError as error:
            raise StorageError(
                f"{path}: not from this version of tonsai; delete it if no training runs there: {error}"
            ) from error

    def check(self, folder: Path) -> None:
        """Compare with this machine.

        Args:
            folder: Of the run, where this machine sees it.

        Raises:
            TrainError: Its folder is elsewhere, or a package has another version.
        """
        if folder.absolute() != self.folder:
            raise TrainError(
                f"{self.folder} on the machine that starts the training is {folder.absolute()} here; mount the shared "
                "storage at the same path"
            )
        own = versions()
        other = [
            f"{name} {own.get(name, 'missing')} (there {version})"
            for name, version in self.versions.items()
            if own.get(name) != version
        ]
        if other:
            raise TrainError(
                f"this machine has {', '.join(other)}; install the same versions on all machines"
            )

    def joined_from(self, address: str | None) -> Rendezvous:
        """Return the place as a machine sees it that joins.

        Args:
            address: By which the others reach it; None: the one that it speaks to the launching machine from.
        """
        address = address or own_address(self.endpoint.rpartition(":")[0])
        return Rendezvous(self.nodes, False, self.endpoint, address, self.id, self.last_call_s)


@contextmanager
def announced(place: Rendezvous | None, module: str, folder: Path) -> Iterator[Callable[[], bool]]:
    """Let other machines find a training while it runs.

    Args:
        place: Where they meet; nothing is said of a training of one machine, nor by one that joined.
        module: The job.
        folder: Of the run.

    Yields:
        What is to be called every now and then; true if a machine waits for the next start and may take part.
    """
    if place is None or not place.is_host:
        yield lambda: False
        return
    path, beat, said_at = folder / NODES_NAME, 0, 0.0
    for knock in folder.glob(_KNOCKS):
        knock.unlink(missing_ok=True)

    def poll() -> bool:
        nonlocal beat, said_at
        if time.monotonic() - said_at < BEAT_S:
            return False
        beat, said_at = beat + 1, time.monotonic()
        said = Announcement(
            module=module,
            folder=folder.absolute(),
            nodes=place.nodes,
            endpoint=place.endpoint,
            id=place.id,
            last_call_s=place.last_call_s,
            versions=versions(),
            beat=beat,
        )
        write_json(path, said.model_dump(mode="json"))
        joined = read_joined(folder)
        return 0 < len(joined) < place.most and any(folder.glob(_KNOCKS))

    try:
        poll()
        yield poll
    finally:
        path.unlink(missing_ok=True)


def knock(folder: Path, address: str) -> None:
    """Ask to take part in the next start of a training that has begun without this machine."""
    (folder / f"knock-{address}").touch()


def has_begun(folder: Path) -> bool:
    """Whether the machines of the present start have met."""
    return (folder / JOINED_NAME).exists()


def versions() -> dict[str, str]:
    """Return the versions that must be the same everywhere, of what is installed."""
    found = {}
    for name in _SAME:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def own_address(towards: str) -> str:
    """Return the address of this machine from which packets leave for another one; none is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
