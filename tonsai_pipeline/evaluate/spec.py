"""What one evaluation is told: RUN.json, frozen, written by whoever launches it.

    recipe sections + folders ──EvalRun──▶ RUN.json ──job──▶ report.html, results.json

Knows no torch: the Dagster side and the CLI write it, the job reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tonsai_pipeline.lineage.job_file import JobFile
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.recipe.model import ModelConfig

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"


class EvalRun(JobFile):
    """One evaluation, complete."""

    what = "an evaluation"

    name: str
    """Name of the run, the title of the report."""

    evaluate: EvaluateConfig
    """What is measured and sampled."""

    model_dir: Path
    """The trained model, a Hugging Face folder with its tokenizer."""

    shards_dir: Path
    """Folder of packed rows that the model was trained on, with `val_<language>/`."""

    training_dir: Path | None = None
    """Folder of the training run, for its curve and its facts; empty: the report goes without."""

    held_out: Path | None = None
    """Held-out documents as text, see `stages/mix/held_out.py`; empty: only packed rows are measured."""

    corpus: tuple[tuple[Path, Path], ...] = ()
    """What the model was trained on: parts of the mixture's pointers, and the normalized parts they point into."""

    reports: dict[str, tuple[Path, ...]] = Field(default_factory=dict)
    """Folders of the artifacts before the model, by asset: what their stages counted is told."""

    untrained: ModelConfig
    """The network as training began with it; measured by the same function for comparison."""

    seed: int
    """Seed of the untrained weights: the recipe's `train.seed`."""

    coeng_da: Literal["fold", "preserve"] = "fold"
    """How prompts are normalized: as the corpus was."""

    pretraining_dir: Path | None = None
    """Packed shards that the base of a tuned model was pretrained on: what it may still know by heart."""

    instructions: Path | None = None
    """Held-out conversations that a tuned model is asked, see `following.py`; empty: it is no tuned model."""

    max_instructions: int = 300
    """How many of them at most."""

    max_answer_tokens: int = 256
    """Tokens of an answer at most."""

    base: str | None = None
    """The base model of a tuned one, measured beside it."""
