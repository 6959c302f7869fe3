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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import psutil

from benchmarks.builders import build
from benchmarks.dedup import synthetic
from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.lineage import Builder, DumpView, Pipeline, this_dump
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS, DumpKey
from tonsai_pipeline.storage.documents import part_name, write_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

_TEXTS, _DECIDED = "normalized_documents", "deduplicated_documents"
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
        runs[f"{size:,}"] = _run(work / str(size), size, num_workers)
        if share < 1:
            shutil.rmtree(work / str(size))
    first, last = (list(runs.values())[index] for index in (0, -1))
    growth = math.log(_SHARES[-1] / _SHARES[0])
    added = [
        _run(work / str(num_documents), num_documents, num_workers, more=number)
        for number in range(1, _NUM_ADDED + 1)
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


def _run(folder: Path, num_documents: int, num_workers: int, *, more: int = 0) -> dict:
    """Measure a corpus: from nothing, or with one more dump where what was before is made already.

    Args:
        folder: Where the store is.
        num_documents: Documents without the added dump.
        num_workers: Processes.
        more: Which dump of a twentieth of the corpus is added; 0 for none.
    """
    engine = open_engine("local", num_workers=num_workers)
    numbers = [*range(1, _NUM_DUMPS + 1), *([_NUM_DUMPS + more] if more else [])]
    builder = _builder(folder, num_documents, numbers, engine)
    build(builder, [_TEXTS])
    parts = [
        path for dump in builder.dumps.versions for path in builder.build(_TEXTS, dump).parts()
    ]
    start_s = _start_workers(engine)
    with Watch() as watch:
        seconds = build(builder, builder.pipeline.up_to(_DECIDED)[1:])
    engine.close()
    result = {
        "seconds": sum(seconds.values()),
        "cpu_s": watch.cpu_s,
        "start_s": start_s,
        **seconds,
        "peak_memory_gb": watch.num_bytes / 1e9,
        "parquet_gb": sum(path.stat().st_size for path in parts) / 1e9,
    }
    report = builder.build(_DECIDED).report
    counts = report["by_dump"][list(builder.dumps.versions)[-1]] if more else report
    if not more:
        copies, near = synthetic.planted(num_documents)
        result |= {"planted_copies": copies, "planted_near_copies": near}
    return result | {name: counts[name] for name in _COUNTS}


_COUNTS = ("num_exact", "num_near", "num_kept", "num_pairs")


def _builder(folder: Path, num_documents: int, numbers: list[int], engine: Engine) -> Builder:
    """Return the product's builder, but for normalized documents that are made here."""
    recipe = Recipe(name="scale", sources=(Source(name="synthetic", lang="eng"),))
    made_here = replace(
        PIPELINE[_TEXTS],
        version=f"synthetic {num_documents}",
        make=partial(_write_dump, num_documents=num_documents),
        fields={},
        reads={"dump": this_dump()},
    )
    pipeline = Pipeline(made_here if stage.name == _TEXTS else stage for stage in PIPELINE)
    versions = {DumpKey.of("synthetic", f"{number:08d}"): "" for number in numbers}
    # No stage that runs here opens the files of a dump.
    dumps = DumpView(versions, versions.__getitem__)
    return Builder(
        pipeline, recipe, Store(Layout(folder, recipe.name)), dumps, engine=lambda: engine
    )


def _start_workers(engine: Engine) -> float:
    """Start the engine's processes and have them import the stages; return the seconds."""
    started = time.perf_counter()
    list(engine.map(_import_stages, range(2 * engine.num_workers), label="start"))
    return time.perf_counter() - started


def _import_stages(number: int) -> int:
    importlib.import_module("tonsai_pipeline.stages.deduplicate.rounds")
    time.sleep(0.05)  # so that every worker gets one
    return number


def _write_dump(dump: DumpKey, folder: Path, engine: Engine, num_documents: int) -> dict[str, int]:
    """Write the dump of that number: an eighth of the corpus, behind it a twentieth."""
    del engine
    number, (size, added) = int(dump.date) - 1, (num_documents // _NUM_DUMPS, num_documents // 20)
    behind = number - _NUM_DUMPS
    first = number * size if behind < 0 else num_documents + behind * added
    stop = first + (size if behind < 0 else added)
    for chunk, start in enumerate(range(first, stop, _ROWS_PER_PART)):
        end = min(start + _ROWS_PER_PART, stop)
        groups = (
            synthetic.documents(dump, row, min(row + _ROWS_PER_GROUP, end))
            for row in range(start, end, _ROWS_PER_GROUP)
        )
        write_part(folder / part_name(0, chunk), groups, NORMALIZED_DOCUMENTS)
    return {"num_documents": stop - first}


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
