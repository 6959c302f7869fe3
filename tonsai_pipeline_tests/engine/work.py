"""Functions that engine tests send to workers; a worker must be able to import them."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from tonsai_pipeline.dedup.minhash import make_permutations
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.text import normalize_batch


def square(number: int) -> int:
    return number * number


def is_loaded(module: str) -> bool:
    return module in sys.modules


def is_loaded_after_use(module: str) -> bool:
    """Tell whether a module is loaded once arrays were made, compiled code was called and permutations were drawn."""
    assert len(make_permutations(8, seed=1).a) == 8
    assert normalize_batch(pa.array(["a"])).to_pylist() == ["a"]
    return module in sys.modules


def is_importable(module: str) -> bool:
    importlib.import_module(module)
    return True


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def write_text(payload: str, folder: Path) -> Mapping[str, Any]:
    """Write a file, count its runs, and fail as the payload says."""
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    (runs / f"{payload}-{time.monotonic_ns()}").touch()
    if payload.startswith("ours"):
        raise DataError("a.jsonl: row 3: broken")
    if payload.startswith("theirs"):
        raise ZeroDivisionError("division by zero")
    if payload.startswith("full"):
        raise OSError(errno.ENOSPC, "No space left on device")
    if payload.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{payload}.txt").write_text(payload)
    return {"num_chars": len(payload), "pid": os.getpid()}


def use_and_leave() -> None:
    """Use two workers and end without closing the engine, as a Dagster run does.

    A failed run's traceback refers to the engine until the process ends.
    """
    from tonsai_pipeline.engine.local import LocalEngine

    _left.append(LocalEngine(2))
    assert len(list(_left[0].map(square, range(4), label="square"))) == 4


_left: list[Engine] = []


def main(folder: str) -> None:
    """Start two workers that write their process ids and sleep; killed by the test."""
    from tonsai_pipeline.engine.local import LocalEngine

    engine = LocalEngine(2)
    list(engine.map(sleep_forever, [folder] * 2, label="sleep"))


def sleep_forever(folder: str) -> None:
    path = Path(folder) / f".{os.getpid()}"
    path.touch()
    path.rename(Path(folder) / f"{os.getpid()}.pid")
    time.sleep(600)


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
