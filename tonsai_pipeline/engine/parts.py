"""Resume by part: tasks -> results, each remembered in the building folder as soon as it is there.

    Part("part-00000", payload) ──function(payload, folder)──▶ counts ──▶ folder/.done/part-00000.json

A killed stage that is run again finds the marks, skips those parts and does the rest. The function
must write its files atomically and must depend on nothing but its payload.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tonsai_pipeline.engine.engine import Engine
from tonsai_pipeline.errors import PartError, TonsaiError

DONE_FOLDER = ".done"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Part:
    """One unit of parallel work.

    Args:
        name: Unique in the stage; names the mark and appears in errors.
        payload: What the function gets; picklable.
    """

    name: str
    payload: Any


@dataclass(frozen=True)
class _Call:
    function: Callable[[Any, Path], Mapping[str, Any]]
    part: Part
    folder: Path
    label: str

    def __str__(self) -> str:
        """What an engine calls the task when its worker is gone."""
        return self.part.name


def map_parts(
    engine: Engine,
    function: Callable[[Any, Path], Mapping[str, Any]],
    parts: Sequence[Part],
    *,
    folder: Path,
    label: str,
) -> list[dict[str, Any]]:
    """Run `function(payload, folder)` for every part that is not done yet.

    Args:
        engine: Where to run.
        function: Module-level; writes files below `folder` atomically and returns counts as JSON values.
        parts: The work; names must be unique.
        folder: The building folder.
        label: Name of the stage, for progress and errors.

    Returns:
        The counts of every part, in the order of `parts`.

    Raises:
        TonsaiError: A part failed with an error of ours; the message now begins with stage and part.
        PartError: A part failed with any other error; the cause is attached.
        ValueError: Two parts have the same name.
    """
    repeated = [name for name, n in Counter(part.name for part in parts).items() if n > 1]
    if repeated:
        raise ValueError(f"{label}: part names must be unique; repeated: {', '.join(repeated)}")
    marks = folder / DONE_FOLDER
    marks.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    for part in parts:
        if (result := _read_mark(marks / f"{part.name}.json")) is not None:
            results[part.name] = result
    pending = [part for part in parts if part.name not in results]
    calls = [_Call(function, part, folder, label) for part in pending]
    for index, result in engine.map(_run_part, calls, label=label):
        results[pending[index].name] = result
    return [results[part.name] for part in parts]


def _run_part(call: _Call) -> dict[str, Any]:
    """Run one part in a worker and leave its mark."""
    started = time.monotonic()
    try:
        result = dict(call.function(call.part.payload, call.folder))
    except TonsaiError as error:
        raise type(error)(f"{call.label}: part {call.part.name}: {error}") from error
    except Exception as error:
        if getattr(error, "errno", None) in _NO_SPACE:
            raise  # the store turns it into a StorageError: no fault of the part
        raise PartError(
            f"{call.label}: part {call.part.name}: {type(error).__name__}: {error}"
        ) from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    mark = call.folder / DONE_FOLDER / f"{call.part.name}.json"
    temporary = mark.with_suffix(f".tmp-{os.getpid()}")
    value = {
        "result": result,
        "elapsed_s": time.monotonic() - started,
        "peak_memory_bytes": peak,
    }
    temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
    temporary.replace(mark)
    return orjson.loads(mark.read_bytes())["result"]


def _read_mark(mark: Path) -> dict[str, Any] | None:
    """Return what a finished part counted; a mark that a power failure left empty is no mark."""
    try:
        return orjson.loads(mark.read_bytes())["result"]
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
