"""Is it still the same house? The rules that a reader relies on, as tests."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "tonsai_pipeline").rglob("*.py"))
INVISIBLE = {
    "\u00ad": "SHY", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ", "\u2060": "WJ", "\ufeff": "BOM",
    "\u17b4": "KHMER AQ", "\u17b5": "KHMER AA",
}  # fmt: skip


def test_imports_only_go_down():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_invisible_character_stands_in_a_source_file(path):
    found = {name for char, name in INVISIBLE.items() if char in path.read_text(encoding="utf-8")}
    assert not found


def test_every_module_says_what_goes_in_and_out():
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.read_text(encoding="utf-8").strip()
        and not path.read_text(encoding="utf-8").startswith(('"""', 'r"""'))
    ]
    assert silent == []


@pytest.mark.slow
def test_definitions_and_help_load_no_training_library():
    program = (
        "import sys, tonsai_pipeline.definitions, tonsai_pipeline.cli\n"
        "heavy = {'torch', 'transformers', 'deepspeed', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_command_line_answers_without_dagster():
    program = (
        "import sys, tonsai_pipeline.cli\n"
        "sys.exit('loaded dagster' if 'dagster' in sys.modules or 'numba' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_workspace_and_project_name_the_same_code_location():
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    module = workspace["load_from"][0]["python_module"]
    assert module["location_name"] == project["code_location_name"]
    assert module["module_name"] == f"{project['root_module']}.definitions"


def test_the_recipe_page_is_fresh():
    from tonsai_pipeline.recipe.document import recipe_page

    assert (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8") == recipe_page(), (
        "run: uv run python -m tonsai_pipeline.recipe.document > docs/recipe.md"
    )


def test_every_recipe_key_is_documented():
    from pydantic import BaseModel

    from tonsai_pipeline.recipe import Recipe

    silent, queue, seen = [], [Recipe], set()
    while queue:
        section = queue.pop()
        if section in seen:
            continue
        seen.add(section)
        for name, field in section.model_fields.items():
            if not field.description:
                silent.append(f"{section.__name__}.{name}")
            queue += [t for t in _types(field.annotation) if issubclass(t, BaseModel)]
    assert silent == []


def _types(annotation):
    from typing import get_args

    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)
