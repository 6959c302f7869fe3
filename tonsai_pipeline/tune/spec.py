"""What one tuning process is to do: RUN.json, frozen, written by whoever launches it.

recipe sections + folders ──TuneRun──▶ RUN.json ──job──▶ output_dir
"""

from __future__ import annotations

from tonsai_pipeline.recipe.sft import LoraConfig
from tonsai_pipeline.train.spec import TrainRun

ADAPTER_NAME = "adapter"


class TuneRun(TrainRun):
    """One tuning run: a training run on rows that say what is learned; its `model.base` is tuned."""

    what = "a tuning run"

    lora: LoraConfig | None = None
    """The adapters; empty: all weights learn."""

    marker_ids: tuple[int, ...] = ()
    """Tokens that a chat puts around its turns, whose embeddings learn beside the adapters."""

    keeps_adapter: bool = True
    """Whether the adapter fits the base model as it is: not where tokens were added to it."""

    adapter_base: str = ""
    """What the adapter calls its base model: a Hub id; empty for a folder, whose place is nobody's business."""
