"""What one training process is to do: RUN.json, frozen, written by whoever launches it.

    recipe sections + folders ──TrainRun──▶ RUN.json ──job──▶ output_dir

Knows no torch: the Dagster side and the CLI write it, the job reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import orjson

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.base import Section
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.storage.files import digest_file, read_json, write_bytes

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


def referenced_files(model: ModelConfig, train: TrainConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that the sections point to: part of a run's fingerprint.

    Args:
        model: May point to a config file, or to a local base model.
        train: May point to a DeepSpeed JSON.

    Returns:
        Hashes by recipe key and file name. A Hub model is named by its id and revision, not by its bytes.

    Raises:
        RecipeError: A file is missing.
    """
    digests = {}
    for key, path in (
        ("model.config_file", model.config_file),
        ("train.deepspeed_config", train.deepspeed_config),
    ):
        if path is not None:
            if not path.is_file():
                raise RecipeError(f"{key}: {path}: no such file")
            digests[key] = digest_file(path)
    if model.base is not None and Path(model.base).is_dir():
        for file in sorted(Path(model.base).iterdir()):
            if file.is_file():
                digests[f"model.base/{file.name}"] = digest_file(file)
    return digests


def run_settings(model: ModelConfig, train: TrainConfig) -> dict[str, object]:
    """Return the settings that decide which model a run ends with, for its fingerprint.

    Files count by their bytes, not by their place. How often is saved, logged and guarded does not count, and
    neither does how the work is divided and stored, which changes the last digits only: a run that does not fit
    the memory goes on with smaller micro batches or another ZeRO stage, on more or fewer GPUs.

    Raises:
        RecipeError: A file that the sections point to is missing.
    """
    places = {"config_file", "deepspeed_config"}
    watching = {"checkpoint", "guards", "metrics", "regression", "samples"}
    dividing = {"backend", "zero_stage", "micro_batch_rows", "compile"}
    dividing |= {"activation_checkpointing", "loss_chunk_tokens", "offload_optimizer"}
    return {
        "model": model.model_dump(mode="json", exclude=places),
        "train": train.model_dump(mode="json", exclude=places | watching | dividing),
        "files": referenced_files(model, train),
    }


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all records; a last line cut short by a kill is left out."""
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1] if line]
