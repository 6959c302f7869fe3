"""What publishing is told: RUN.json, frozen, written by whoever launches it.

    recipe sections + folders ──PublishRun──▶ RUN.json ──job──▶ release/, gate.json

Knows no torch: the Dagster side and the CLI write it, the job reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from tonsai_pipeline.lineage.job_file import JobFile
from tonsai_pipeline.recipe.publish import PublishConfig
from tonsai_pipeline.recipe.section import Section

RELEASE_NAME = "release"
GATE_NAME = "gate.json"


class DataSource(Section):
    """One source of what the model learned from."""

    name: str
    """Its name in the recipe."""

    lang: str
    """Its language."""

    license: str | None = None
    """Its licence; empty: nobody says."""

    hub: str | None = None
    """Its Hub id, if it is there."""


class PublishRun(JobFile):
    """One release, complete."""

    what = "a release"

    name: str
    """Name of the recipe."""

    publish: PublishConfig
    """What people say of it."""

    model_dir: Path
    """The model folder."""

    results: Path
    """`results.json` of its evaluation."""

    shards_dir: Path | None = None
    """Packed rows that the evaluation measured, to measure them again; empty: not measured again."""

    sources: tuple[DataSource, ...] = ()
    """What it learned from."""

    made_with: dict[str, Any] = Field(default_factory=dict)
    """Settings that the model was made with, by section, as its manifest has them."""

    masked: tuple[str, ...] = ()
    """Kinds of personal data that were masked in the corpus."""

    max_rows: int | None = None
    """Rows of each language that the evaluation measured at most."""

    max_rise_frac: dict[str, float] = Field(default_factory=dict)
    """How far bits per byte may stand above those of the base model, by language."""

    commit: str = ""
    """Commit of the recipe's repository, where it is in one."""
