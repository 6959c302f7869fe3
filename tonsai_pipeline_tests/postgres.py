"""A Postgres server of our own, from the binaries of this machine: started in a folder, stopped at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_USER = "postgres"


def postgres_programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, None where there is no server."""
    known = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.environ["PATH"].split(":"))]
    return next((f for f in known if (f / "initdb").exists() and (f / "postgres").exists()), None)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server; yield its URL as `dagster.yaml` takes it."""
    programs = postgres_programs()
    assert programs is not None, "no Postgres server: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="tonsai-postgres-"))
    if os.geteuid() == 0:  # the server refuses to run as root
        owner = pwd.getpwnam(_USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = str(folder / "data")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    _run(programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "--no-sync").wait()
    server = _run(programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", data)
    try:
        while not _answers(port):
            assert server.poll() is None, "the Postgres server ended"
            time.sleep(0.1)
        yield f"postgresql+psycopg2://{_USER}@127.0.0.1:{port}/{_USER}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder)


def _answers(port: int) -> bool:
    import psycopg2

    try:
        psycopg2.connect(host="127.0.0.1", port=port, user=_USER, dbname=_USER).close()
    except psycopg2.OperationalError:
        return False
    return True


def _run(*command: Path | str) -> subprocess.Popen[bytes]:
    as_root = os.geteuid() == 0
    arguments: Sequence[str] = [str(part) for part in command]
    return subprocess.Popen(
        arguments,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **({"user": _USER, "group": _USER, "extra_groups": []} if as_root else {}),
    )
