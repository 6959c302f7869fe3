"""What publishing is told: RUN.json, frozen, written by whoever launches it.

    recipe sections + folders ──PublishRun──▶ RUN.json ──job──▶ release/, gate.json

Knows no torch: the Dagster side and the CLI write it, the job reads it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from tonsai_pipeline.licenses import strictest
from tonsai_pipeline.lineage.job_file import JobFile
from tonsai_pipeline.recipe.publish import PublishConfig
from tonsai_pipeline.recipe.section import Section
from tonsai_pipeline.recipe.sft import InstructionSource
from tonsai_pipeline.recipe.sources import Source

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

    pretraining_results: Path | None = None
    """`results.json` of the base of a tuned model, which tells of the corpus; empty: it is that of `results`, or unknown."""

    shards_dir: Path | None = None
    """Packed rows that the evaluation measured, to measure them again; empty: not measured again."""

    sources: tuple[DataSource, ...] = ()
    """What it learned from."""

    instructions: dict[str, Any] = Field(default_factory=dict)
    """What sft_dataset counted; empty: it is no tuned model."""

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


def data_sources(
    corpus: Iterable[Source], instructions: Iterable[InstructionSource]
) -> tuple[DataSource, ...]:
    """Return what a recipe's model learned from: its corpus, and instructions, each under the licence of its origin too."""
    texts = [
        DataSource(name=one.name, lang=one.lang, license=one.license, hub=one.hub and one.hub.id)
        for one in corpus
        if one.weight > 0
    ]
    conversations = [
        DataSource(
            name=one.name,
            lang=one.lang or "khm",
            license=strictest([one.license, *filter(None, [one.origin_license])]),
            hub=one.hub and one.hub.id,
        )
        for one in instructions
    ]
    return (*texts, *conversations)


def commit_of(recipe_file: Path) -> str:
    """Return the commit that a recipe's file is in; empty outside a repository, or where it was changed since."""
    ask = ["git", "-C", str(recipe_file.parent)]
    try:
        changed = subprocess.run(
            [*ask, "status", "--porcelain", "--", recipe_file.name], capture_output=True, check=True
        )
        found = subprocess.run([*ask, "rev-parse", "HEAD"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return "" if changed.stdout else found.stdout.decode().strip()
