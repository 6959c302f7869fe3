"""The job of a small run: train as any run is trained, then measure it on the large recipe's held-out documents.

python -m torch.distributed.run --nproc-per-node 1 -m tonsai_pipeline.pilot.job --run RUN.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from tonsai_pipeline.evaluate.bits_per_byte import rows_of, score_texts
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.evaluate.texts import read_held_out
from tonsai_pipeline.pilot.spec import MEASURED_NAME, PilotRun
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.job import Work, main
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun


class Measuring(Work):
    """Keeps of a network what it is worth."""

    def read(self, path: Path) -> TrainRun:
        """Read RUN.json."""
        return PilotRun.read(path)

    def export(self, run: TrainRun, backend: Backend) -> None:
        """Write the model, and its bits per byte by the function that the large run's report is made with."""
        super().export(run, backend)
        if backend.rank != 0:
            return
        assert isinstance(run, PilotRun)
        texts = read_held_out(run.held_out)
        scores = score_texts(open_subject(str(run.output_dir / MODEL_NAME)), texts)
        rows = [row for row in rows_of(texts, scores) if row.by == "all"]
        measured = {row.language: row.bits_per_byte.value for row in rows}
        write_json(run.output_dir / MEASURED_NAME, measured)


if __name__ == "__main__":
    sys.exit(main(work=Measuring()))
