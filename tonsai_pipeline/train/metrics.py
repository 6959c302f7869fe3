"""Numbers of a run -> metrics.jsonl, the truth, and TensorBoard, a view of it.

One record a line, each with `kind` (train, validation, event) and `step`. A resumed run first forgets the
records after its checkpoint, so that each step stands there once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tonsai_pipeline.storage.files import write_bytes
from tonsai_pipeline.train.spec import read_metrics

TRAIN, VALIDATION, EVENT = "train", "validation", "event"


class Metrics:
    """The records of one run; does nothing in processes other than 0.

    Args:
        path: `metrics.jsonl`.
        tensorboard_dir: Where event files go; empty: none.
        rank: This process.
    """

    def __init__(self, path: Path, *, tensorboard_dir: Path | None, rank: int) -> None:
        self.path = path
        self._active = rank == 0
        self._tensorboard_dir = tensorboard_dir
        self._writer: Any = None

    def rewind(self, step: int) -> None:
        """Forget what was measured after `step`; what happened (events) stays."""
        if not self._active:
            return
        records = read_metrics(self.path) if self.path.exists() else []
        kept = [record for record in records if record["step"] <= step or record["kind"] == EVENT]
        write_bytes(self.path, b"".join(orjson.dumps(record) + b"\n" for record in kept))
        self._open_tensorboard(step)

    def write(self, kind: str, step: int, **numbers: Any) -> None:
        """Append one record, whole, and hand its numbers to TensorBoard."""
        if not self._active:
            return
        line = orjson.dumps(
            {"kind": kind, "step": step, **numbers}, option=orjson.OPT_SERIALIZE_NUMPY
        )
        with self.path.open("ab") as stream:
            stream.write(line + b"\n")
        if self._writer is not None:
            for name, value in _flatten(numbers):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush the views."""
        if self._writer is not None:
            self._writer.close()

    def _open_tensorboard(self, step: int) -> None:
        if self._tensorboard_dir is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._tensorboard_dir), purge_step=step + 1)


def _flatten(numbers: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Nested numbers -> ("khm/loss", 3.2) pairs; text is left out."""
    flat = []
    for name, value in numbers.items():
        if isinstance(value, dict):
            flat += _flatten(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat.append((f"{prefix}{name}", float(value)))
    return flat
