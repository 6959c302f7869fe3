"""Hook of the docs site: the command line -> `commands.md`, made when the site is built so that it cannot be out of date."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the page of commands, written by Typer from the commands themselves."""
    from mkdocs.structure.files import File

    command = [sys.executable, "-m", "typer", "tonsai_pipeline.cli", "utils", "docs"]
    page = subprocess.run(
        [*command, "--name", "tonsai", "--title", "Commands"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files.append(File.generated(config, "commands.md", content=page))
    return files
