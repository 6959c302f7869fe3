"""Synthetic documents by the hundred thousand through the stages -> seconds, peak memory, cost of one more dump.

The worker processes are started before the clock: `start_s` is what that takes, the same for any corpus. Shares of a
full run are given with it and without it.
"""

from __future__ import annotations

import importlib
import math
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import Self

import psutil

from benchmarks.dedup import synthetic
from benchmarks.dedup.pipeline import Pipeline
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS
from tonsai_pipeline.storage.documents import part_name, write_part
from tonsai_pipeline.storage.store import Artifact

_NUM_DUMPS = 8
_ROWS_PER_PART = 25_000
_ROWS_PER_GROUP = 5_000
#: The smaller corpora that the exponent is taken from: these shares of the largest.
_SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
#: Dumps that are added, each to the same corpus; on a noisy machine one would tell little.
_NUM_ADDED = 5


def measure(work: Path, *, num_documents: int, num_workers: int) -> dict:
    """Run growing corpora from nothing, then add a dump of 5 % to the largest, five times."""
    runs = {}
    for share in _SHARES:
        size = int(num_documents * share)
        runs[f"{size:,}"] = _full_run(work / str(size), size, num_workers)
        if share < 1:
            shutil.rmtree(work / str(size))
    first, last = (list(runs.values())[index] for index in (0, -1))
    growth = math.log(_SHARES[-1] / _SHARES[0])
    added = [
        _append(work / str(num_documents), num_documents, num_workers, number)
        for number in range(_NUM_ADDED)
    ]

    def frac(*names: str) -> float:
        cost = statistics.median(sum(one[name] for name in names) for one in added)
        return cost / sum(last[name] for name in names)

    return {
        "runs": runs,
        "exponent": math.log(last["seconds"] / first["seconds"]) / growth,
        "exponent_cpu": math.log(last["cpu_s"] / first["cpu_s"]) / growth,
        "one_more_dump": {
            **{str(number): one for number, one in enumerate(added, 1)},
            "frac_of_full_run": frac("seconds"),
            "frac_of_full_run_with_start": frac("seconds", "start_s"),
            "frac_of_full_run_cpu": frac("cpu_s"),
        },
    }


def _full_run(folder: Path, num_documents: int, num_workers: int) -> dict:
    pipeline = _pipeline(folder, num_workers)
    normalized = _write_corpus(pipeline, num_documents)
    num_bytes = sum(sum(p.stat().st_size for p in a.parts()) for a in normalized.values())
    start_s = _start_workers(pipeline)
    with Watch() as peak:
        signatures = pipeline.signed(normalized)
        artifact = pipeline.deduplicated(signatures, normalized)
    pipeline.engine.close()
    copies, near = synthetic.planted(num_documents)
    report = artifact.report
    return {
        "seconds": pipeline.seconds["sign"] + pipeline.seconds["deduplicate"],
        "cpu_s": peak.cpu_s,
        "start_s": start_s,
        "sign_s": pipeline.seconds["sign"],
        "deduplicate_s": pipeline.seconds["deduplicate"],
        "peak_memory_gb": peak.num_bytes / 1e9,
        "parquet_gb": num_bytes / 1e9,
        "planted_copies": copies,
        "planted_near_copies": near,
        **{name: report[name] for name in ("num_exact", "num_near", "num_kept", "num_pairs")},
    }


def _append(folder: Path, num_documents: int, num_workers: int, number: int) -> dict:
    """Add a dump of a twentieth of the corpus, another one for each number; everything before is cached."""
    pipeline = _pipeline(folder, num_workers)
    normalized = _write_corpus(pipeline, num_documents)
    size = num_documents // 20
    key = f"synthetic@{_NUM_DUMPS + 1 + number:08d}"
    first = num_documents + number * size
    normalized[key] = _write_dump(pipeline, key, first, first + size)
    pipeline.seconds.clear()
    start_s = _start_workers(pipeline)
    with Watch() as peak:
        artifact = pipeline.deduplicated(pipeline.signed(normalized), normalized)
    pipeline.engine.close()
    return {
        "seconds": pipeline.seconds["sign"] + pipeline.seconds["deduplicate"],
        "cpu_s": peak.cpu_s,
        "start_s": start_s,
        "sign_s": pipeline.seconds["sign"],
        "deduplicate_s": pipeline.seconds["deduplicate"],
        "peak_memory_gb": peak.num_bytes / 1e9,
        "num_dropped": artifact.report["by_dump"][key]["num_documents"]
        - artifact.report["by_dump"][key]["num_kept"],
    }


def _pipeline(folder: Path, num_workers: int) -> Pipeline:
    source = Source(name="synthetic", lang="eng")
    return Pipeline(folder, Recipe(name="scale", sources=(source,)), num_workers=num_workers)


def _write_corpus(pipeline: Pipeline, num_documents: int) -> dict[str, Artifact]:
    size = num_documents // _NUM_DUMPS
    return {
        f"synthetic@{index + 1:08d}": _write_dump(
            pipeline, f"synthetic@{index + 1:08d}", index * size, (index + 1) * size
        )
        for index in range(_NUM_DUMPS)
    }


def _start_workers(pipeline: Pipeline) -> float:
    """Start the engine's processes and have them import the stages; return the seconds."""
    started = time.perf_counter()
    list(pipeline.engine.map(_import_stages, range(2 * pipeline.num_workers), label="start"))
    return time.perf_counter() - started


def _import_stages(number: int) -> int:
    importlib.import_module("tonsai_pipeline.stages.deduplicate.rounds")
    time.sleep(0.05)  # so that every worker gets one
    return number


def _write_dump(pipeline: Pipeline, key: str, first: int, stop: int) -> Artifact:
    def make(folder: Path) -> dict[str, int]:
        for chunk, start in enumerate(range(first, stop, _ROWS_PER_PART)):
            end = min(start + _ROWS_PER_PART, stop)
            groups = (
                synthetic.documents(key, row, min(row + _ROWS_PER_GROUP, end))
                for row in range(start, end, _ROWS_PER_GROUP)
            )
            write_part(folder / part_name(0, chunk), groups, NORMALIZED_DOCUMENTS)
        return {"num_documents": stop - first}

    return pipeline.store.materialize(
        "normalized_documents",
        key,
        make,
        stage_version="synthetic",
        settings={"first": first, "stop": stop},
        inputs={},
    )


class Watch:
    """Samples this process and its children, added up, five times a second: peak resident memory, CPU seconds.

    Pages that they share, mapped files among them, count once for each: the sum is too high, never too low.
    CPU seconds are what the work costs; wall seconds are more where other programs want the machine as well.
    """

    def __init__(self) -> None:
        self.num_bytes = 0
        self._before: dict[int, float] = {}
        self._after: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def cpu_s(self) -> float:
        """CPU seconds since the watch began."""
        return sum(after - self._before.get(pid, 0.0) for pid, after in self._after.items())

    def __enter__(self) -> Self:
        self._look()
        self._before = dict(self._after)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self._look()

    def _look(self) -> None:
        own, total = psutil.Process(), 0
        for process in (own, *own.children(recursive=True)):
            try:
                times = process.cpu_times()
                self._after[process.pid] = times.user + times.system
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.num_bytes = max(self.num_bytes, total)
