"""Map over parts with a process pool on this machine: nothing to install, nothing to start.

The pool is started on first use and kept, because a worker's imports cost more than a small part. A worker
ends at once when its parent dies or lets go of it, so that a killed stage leaves no process behind and a
cancelled one waits for none: what a worker was making is whole or not there at all.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from typing import Any, TypeVar, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tonsai_pipeline.errors import PartError

T = TypeVar("T")
R = TypeVar("R")

#: Loaded once in the fork server, shared by all workers: what costs each of them a tenth of a second and more. The recipe
#: for its pydantic models.
PRELOADED = ["tonsai_pipeline.engine.preloaded", "tonsai_pipeline.recipe"]


class LocalEngine:
    """A process pool; one worker needs no process, nor does one task before the first stage of several.

    Args:
        num_workers: Processes; None for one per available core.
    """

    def __init__(self, num_workers: int | None = None) -> None:
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None
        self._end: Callable[[], object] | None = None

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], *, label: str
    ) -> Iterator[tuple[int, R]]:
        """See `Engine.map`."""
        with _progress() as progress:
            bar = progress.add_task(label, total=len(tasks))
            for finished in self._map(function, tasks, label):
                progress.advance(bar)
                yield finished

    def close(self) -> None:
        """See `Engine.close`; parts that are being made are finished first."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._let_go()

    def _map(
        self, function: Callable[[T], R], tasks: Sequence[T], label: str
    ) -> Iterator[tuple[int, R]]:
        if self.num_workers == 1 or (len(tasks) <= 1 and self._pool is None):
            yield from ((index, function(task)) for index, task in enumerate(tasks))
            return
        pool = self._start()
        waiting = iter(enumerate(tasks))
        running: dict[Future[R], int] = {}
        try:
            while True:
                # A bounded window: a failing part stops the stage without the rest having been queued.
                while len(running) < 2 * self.num_workers and (step := next(waiting, None)):
                    with _interrupts_later():
                        running[pool.submit(function, step[1])] = step[0]
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool as error:
            self.close()
            suspects = ", ".join(str(tasks[index]) for index in sorted(running.values()))
            raise PartError(
                f"{label}: a worker process died while doing one of: {suspects}; most often the system "
                "ran out of memory and killed it: use fewer workers (finished parts are kept)"
            ) from error
        except Exception:
            self.close()
            raise
        except BaseException:
            self._let_go()
            raise

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(PRELOADED)
            held, leash = cast("tuple[Connection, Connection]", context.Pipe(duplex=False))
            self._pool = ProcessPoolExecutor(
                self.num_workers, mp_context=context, initializer=_start_worker, initargs=(held,)
            )
            # A process that multiprocessing started, as a Dagster run is, joins its children before it ends
            # its threads, and would wait for idle workers for ever; before it does, at priority 10, it closes
            # the queue by which they would be told.
            self._end = Finalize(self, _end, args=(leash, self._pool), exitpriority=100)
        return self._pool

    def _let_go(self) -> None:
        """End the workers whatever they are doing."""
        if self._end is not None:
            self._end()
        self._pool = self._end = None


def _end(leash: Connection, pool: ProcessPoolExecutor) -> None:
    leash.close()
    results: Any = pool._result_queue  # noqa: SLF001
    if results is not None:
        # A worker that dies while it sends leaves a piece of a result, and its reader waits for the rest until nobody
        # is left who could write it.
        results._writer.close()  # noqa: SLF001
    pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_later() -> Generator[None]:
    """Hold back Ctrl-C and SIGTERM for a moment: half-way through the start of a worker, the pool forgets that worker."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _start_worker(leash: Connection) -> None:
    """Die when the leash is dropped, leave Ctrl-C to the parent, and use one thread: the pool is the parallelism."""
    threading.Thread(target=_die_without, args=(leash,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["RAYON_NUM_THREADS"] = "1"
    # What is loaded stays: the garbage collector need not look through it, nor copy the pages that workers share.
    gc.freeze()
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _die_without(leash: Connection) -> None:
    # A worker's parent by process id is the fork server, which lives as long as its workers do: only a pipe to
    # the process that asked for the worker tells that it is gone. Nothing is ever sent.
    leash.poll(None)
    os.kill(os.getpid(), signal.SIGKILL)


def _progress() -> Progress:
    """A bar in a terminal, nothing in a log."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
