"""YAML -> Recipe, with errors that name file, key, value and the nearest valid key.

demo.yaml ──load_recipe──▶ Recipe      (a shipped name or a path)
"""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.recipe import Recipe


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    folder = Path(str(resources.files("tonsai_pipeline") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_path: str) -> Path:
    """Return the file of a recipe named by path or by shipped name.

    Raises:
        RecipeError: There is neither a file nor a shipped recipe of that name.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.absolute()
    shipped = shipped_recipes()
    stem = path.stem if path.suffix in (".yaml", ".yml") else name_or_path
    if len(path.parts) == 1 and stem in shipped:
        return shipped[stem]
    near = difflib.get_close_matches(stem, shipped, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise RecipeError(
        f"recipe '{name_or_path}': no such file, and the shipped recipes are: "
        f"{', '.join(shipped)}{hint}"
    )


def load_recipe(name_or_path: str) -> Recipe:
    """Read, check and freeze a recipe.

    Raises:
        RecipeError: Not YAML, an unknown key, or a value out of range; one line per problem.
    """
    path = find_recipe(name_or_path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise RecipeError(f"{path}: not readable as YAML: {line}{error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(raw, dict):
        found = "an empty file" if raw is None else type(raw).__name__
        raise RecipeError(
            f"{path}: a recipe is a mapping of sections, found {found}; `tonsai init FOLDER` writes one"
        )
    return parse_recipe(raw, where=str(path), folder=path.parent)


def parse_recipe(raw: dict[str, Any], *, where: str, folder: Path | None = None) -> Recipe:
    """Check plain values as a recipe.

    Args:
        raw: The mapping that the YAML holds.
        where: Begins every error line.
        folder: Where relative paths in the recipe start; None leaves them as they are.

    Raises:
        RecipeError: An unknown key, or a value out of range; one line per problem.
    """
    try:
        return Recipe.model_validate(raw, context={"folder": folder})
    except ValidationError as error:
        details = error.errors(include_url=False)
        inner = [detail["loc"] for detail in details]
        # A list whose only item is wrong is also "too short"; the item's own error says it better.
        told = [
            d for d in details if d["type"] != "too_short" or not _holds_another(d["loc"], inner)
        ]
        lines = [_explain(detail, where) for detail in told]
        raise RecipeError("\n".join(lines)) from error


def _holds_another(outer: tuple[Any, ...], locations: list[tuple[Any, ...]]) -> bool:
    return any(len(loc) > len(outer) and loc[: len(outer)] == outer for loc in locations)


def _explain(detail: Any, where: str) -> str:
    location = [str(step) for step in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        valid = _keys_at(Recipe, detail["loc"][:-1])
        near = difflib.get_close_matches(location[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"valid keys: {', '.join(valid)}"
        return f"{where}: {key}: unknown key (value {detail['input']!r}); {hint}"
    message = detail["msg"].removeprefix("Value error, ")
    value = "" if detail["type"] == "missing" else f" (value {_short(detail['input'])})"
    return f"{where}: {key or 'recipe'}: {message}{value}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the section at a location."""
    for step in location:
        if isinstance(step, str) and step in model.model_fields:
            nested = _section_of(model.model_fields[step].annotation)
            if nested is None:
                return []
            model = nested
    return list(model.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Find the section class inside an annotation such as `tuple[Source, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _section_of(argument)) is not None:
            return found
    return None
