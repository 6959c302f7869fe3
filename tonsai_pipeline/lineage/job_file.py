"""All that a launched job is told, as one file: written by whoever launches it, read by the job.

recipe sections + folders ──JobFile──▶ run.json ──job──▶ output_dir
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.section import Section
from tonsai_pipeline.storage.files import read_json, write_bytes
from tonsai_pipeline.storage.job_folder import RUN_NAME


class JobFile(Section):
    """Base of what a job is told; it lies in the job's output folder."""

    what: ClassVar[str]
    """What it describes, for the error of a file that does not."""

    output_dir: Path
    """Where everything that the job makes goes."""

    fingerprint: str
    """Name of the work; what a job of another name left is not gone on with."""

    def write(self) -> Path:
        """Write RUN.json into the output folder and return its path."""
        path = self.output_dir / RUN_NAME
        write_bytes(path, self.model_dump_json(indent=2).encode() + b"\n")
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read RUN.json.

        Raises:
            RecipeError: The file describes something else.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValueError as error:
            raise RecipeError(f"{path}: not {cls.what}: {error}") from error
