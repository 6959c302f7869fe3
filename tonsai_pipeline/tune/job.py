"""The tuning job, one process of it: RUN.json -> checkpoints/, metrics.jsonl, model/, adapter/, status.json.

    python -m torch.distributed.run --nproc-per-node 2 -m tonsai_pipeline.tune.job --run RUN.json

The training job on rows that say which tokens are learned: loop, checkpoints, guards, attention and launcher are its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.job import Work, main
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun
from tonsai_pipeline.tune.adapter import add_adapter, merge, save_adapter
from tonsai_pipeline.tune.spec import ADAPTER_NAME, TuneRun


class Tuning(Work):
    """Tunes a model, all of it or by adapters."""

    _adapted: PeftModel | None = None

    def read(self, path: Path) -> TrainRun:
        """Read RUN.json."""
        return TuneRun.read(path)

    def prepare(
        self, run: TrainRun, model: PreTrainedModel, reader: RowReader, log: Callable[[str], object]
    ) -> None:
        """Add the adapters, if there are to be any.

        Raises:
            DataError: The rows do not say what is learned: questions would be.
        """
        assert isinstance(run, TuneRun)
        if not reader.says_what_is_learned:
            raise DataError(
                f"{reader.folder}: no rows of instructions: they do not say what is learned"
            )
        if run.lora is None:
            return
        self._adapted = add_adapter(model, run.lora, run.marker_ids)
        learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        log(f"LoRA of rank {run.lora.rank}: {learning:,} parameters learn")

    def export(self, run: TrainRun, backend: Backend) -> None:
        """Write the tuned model, and the adapter beside it."""
        assert isinstance(run, TuneRun)
        state = backend.full_state()
        if backend.rank != 0:
            return
        model = backend.loss.model
        if self._adapted is not None:
            if run.keeps_adapter:
                save_adapter(self._adapted, run.output_dir / ADAPTER_NAME, base=run.adapter_base)
            model, state = merge(self._adapted), None
        save_model(model, run.output_dir / MODEL_NAME, tokenizer_dir=run.tokenizer_dir, state=state)


if __name__ == "__main__":
    sys.exit(main(work=Tuning()))
