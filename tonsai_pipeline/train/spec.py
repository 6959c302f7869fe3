"""What one training process is to do: RUN.json, frozen, written by whoever launches it.

    recipe sections + folders ──TrainRun──▶ RUN.json ──job──▶ output_dir

Knows no torch: the Dagster side and the CLI write it, the job reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import orjson

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.section import Section
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.storage.files import read_json, write_bytes

RUN_NAME = "run.json"
STATUS_NAME = "status.json"
METRICS_NAME = "metrics.jsonl"
CHECKPOINTS_NAME = "checkpoints"
MODEL_NAME = "model"


class TrainRun(Section):
    """One training run, complete: the same file in the same folders is the same run."""

    model: ModelConfig
    """Which network."""

    train: TrainConfig
    """How it is trained."""

    shards_dir: Path
    """Folder of packed shards, with `train/` and `val_<language>/`."""

    tokenizer_dir: Path
    """Folder of the tokenizer that made the shards; copied into the finished model."""

    output_dir: Path
    """Where checkpoints, metrics and the finished model go."""

    coeng_da: Literal["fold", "preserve"] = "fold"
    """How prompts of samples are normalized: as the corpus was."""

    fingerprint: str
    """Name of the work. Checkpoints of another fingerprint are not resumed."""

    resume: Literal["auto", "never", "required"] = "auto"
    """auto: go on from the newest whole checkpoint, if any; never: start anew; required: fail without one."""

    def write(self) -> Path:
        """Write RUN.json into the output folder and return its path."""
        path = self.output_dir / RUN_NAME
        write_bytes(path, self.model_dump_json(indent=2).encode() + b"\n")
        return path

    @classmethod
    def read(cls, path: Path) -> TrainRun:
        """Read RUN.json.

        Raises:
            RecipeError: The file is not a training run.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValueError as error:
            raise RecipeError(f"{path}: not a training run: {error}") from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all records; a last line cut short by a kill is left out."""
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1] if line]
