"""Numbers of a run -> metrics.jsonl, the truth, and trackers, views of it.

One record a line, each with `kind` (train, validation, average, sample, signal, event) and `step`. A resumed run first forgets the
records after its checkpoint, so that each step stands there once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tonsai_pipeline.storage.files import write_bytes
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.records.trackers import Guarded, Tracker, as_text, flatten, names_of

TRAIN, VALIDATION, AVERAGE = "train", "validation", "average"
SAMPLE, SIGNAL, EVENT = "sample", "signal", "event"


class Metrics:
    """The records of one run; does nothing in processes other than 0.

    Args:
        path: `metrics.jsonl`.
        rank: This process.
        trackers: Views of the same numbers.
        on_trouble: Gets a message when a view fails and is left.
    """

    def __init__(
        self,
        path: Path,
        *,
        rank: int,
        trackers: Sequence[Tracker] = (),
        on_trouble: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.path = path
        self._active = rank == 0
        self._views = [Guarded(tracker, on_trouble) for tracker in trackers]

    def rewind(self, step: int) -> None:
        """Forget what was measured after `step`; what happened (events) stays."""
        if not self._active:
            return
        records = read_metrics(self.path) if self.path.exists() else []
        kept = [record for record in records if record["step"] <= step or record["kind"] == EVENT]
        write_bytes(self.path, b"".join(orjson.dumps(record) + b"\n" for record in kept))
        self._tell(lambda tracker: tracker.reopen(step))

    def write(self, kind: str, step: int, **numbers: Any) -> None:
        """Append one record, whole, and hand its numbers to the views."""
        if not self._active:
            return
        line = orjson.dumps(
            {"kind": kind, "step": step, **numbers}, option=orjson.OPT_SERIALIZE_NUMPY
        )
        with self.path.open("ab") as stream:
            stream.write(line + b"\n")
        flat = dict(flatten(numbers, f"{kind}/"))
        if flat:
            self._tell(lambda tracker: tracker.numbers(step, flat))

    def write_samples(self, step: int, samples: Sequence[Mapping[str, Any]]) -> None:
        """Append what the network wrote.

        Args:
            step: Optimizer steps done.
            samples: Each with `language`, `prompt` and `text`.
        """
        self.write(SAMPLE, step, samples=[dict(sample) for sample in samples])
        if self._active:
            for name, sample in zip(names_of(samples), samples, strict=True):
                self._tell(lambda tracker, n=name, s=sample: tracker.text(step, n, as_text(s)))

    def close(self) -> None:
        """Flush the views."""
        self._tell(lambda tracker: tracker.close())

    def _tell(self, do: Callable[[Tracker], object]) -> None:
        for view in self._views:
            view.call(do)
