"""`docs/tutorial.md`: its commands are run as they stand, with less training, and print what the page says."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tonsai_pipeline

PAGE = Path(tonsai_pipeline.__file__).parents[1] / "docs" / "tutorial.md"
#: Seconds of training are enough to see that the page holds; what `init` proposes takes three minutes.
_PROPOSED, _SMALLER = "max_epochs: 4 ", "max_epochs: 0.3 "
_CONVERSATIONS = 200
_SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Step(NamedTuple):
    """A command of the page, what is typed at its prompt, and what it is said to print."""

    command: str
    typed: str
    printed: str


def steps(page: str) -> Iterator[Step]:
    """Yield the commands of the page's console blocks."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, rest = piece.partition("\n")
            lines = rest.splitlines(keepends=True)
            typed = "".join(line[2:] for line in lines if line.startswith("> "))
            yield Step(command, typed, "".join(x for x in lines if not x.startswith("> ")))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TONSAI_", "DAGSTER_"))}
    environment |= {"COLUMNS": "100", "TONSAI_HOME": "tonsai_data"}
    for command, typed, printed in steps(PAGE.read_text(encoding="utf-8")):
        words = shlex.split(command)
        assert words[0] == "tonsai", f"no command of ours: {command}"
        words[0] = str(Path(sys.executable).with_name("tonsai"))
        done = subprocess.run(
            words,
            cwd=tmp_path,
            input=typed,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
        assert doctest.OutputChecker().check_output(printed, done.stdout, _SAME), (
            f"$ {command}\nthe page says:\n{printed}\nit prints:\n{done.stdout[-3000:]}"
        )
        if words[1] == "init":
            recipe = tmp_path / "my_texts.yaml"
            text = recipe.read_text(encoding="utf-8")
            assert _PROPOSED in text, f"tonsai init no longer proposes {_PROPOSED}"
            recipe.write_text(text.replace(_PROPOSED, _SMALLER), encoding="utf-8")
        if "--only-conversations" in words:
            path = tmp_path / words[-1]
            path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:_CONVERSATIONS]))
