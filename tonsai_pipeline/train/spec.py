"""What one training process is to do: RUN.json, frozen, written by whoever launches it.

    recipe sections + folders ──TrainRun──▶ RUN.json ──job──▶ output_dir

Knows no torch: the Dagster side and the CLI write it, the job reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tonsai_pipeline.lineage.job_file import JobFile
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig

CHECKPOINTS_NAME = "checkpoints"
MODEL_NAME = "model"


class TrainRun(JobFile):
    """One training run, complete: the same file in the same folders is the same run."""

    what = "a training run"

    model: ModelConfig
    """Which network."""

    train: TrainConfig
    """How it is trained."""

    shards_dir: Path
    """Folder of packed shards, with `train/` and `val_<language>/`."""

    tokenizer_dir: Path
    """Folder of the tokenizer that made the shards; copied into the finished model."""

    coeng_da: Literal["fold", "preserve"] = "fold"
    """How prompts of samples are normalized: as the corpus was."""

    resume: Literal["auto", "never", "required"] = "auto"
    """auto: go on from the newest whole checkpoint, if any; never: start anew; required: fail without one."""
