"""YAML -> Recipe, with errors that name file, key, value and the nearest valid key.

demo.yaml ──load_recipe──▶ Recipe      (a shipped name or a path)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tonsai_pipeline.errors import RecipeError, has_login
from tonsai_pipeline.recipe.recipe import Recipe
from tonsai_pipeline.recipe.section import section_of

#: Keys and places in lists that lead to a value.
Location = tuple[str | int, ...]


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
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, yaml.SafeLoader)
        raw = yaml.safe_load(text)
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
    lines: dict[Location, int] = {}
    if repeated := list(_find_lines(tree, (), lines)):
        raise RecipeError("\n".join(f"{path}: {problem}" for problem in repeated))
    return parse_recipe(raw, where=str(path), folder=path.parent, lines=lines)


def _logins(value: object, location: Location) -> Iterator[Location]:
    """Yield where a URL with a password stands."""
    if isinstance(value, str) and has_login(value):
        yield location
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _logins(inner, (*location, str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _logins(inner, (*location, index))


def _find_lines(
    node: yaml.Node | None, location: Location, lines: dict[Location, int]
) -> Iterator[str]:
    """Note the line of every key; yield a problem for every key that a mapping has twice."""
    if isinstance(node, yaml.MappingNode):
        own: dict[Any, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in own:
                name = ".".join(map(str, (*location, key.value)))
                yield (
                    f"{name}: repeated key, in lines {own[key.value]} and {line}; YAML would take the last one: "
                    "keep one"
                )
            own[key.value] = lines[*location, key.value] = line
            yield from _find_lines(value, (*location, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*location, index] = item.start_mark.line + 1
            yield from _find_lines(item, (*location, index), lines)


def parse_recipe(
    raw: dict[str, Any],
    *,
    where: str,
    folder: Path | None = None,
    lines: Mapping[Location, int] | None = None,
) -> Recipe:
    """Check plain values as a recipe.

    Args:
        raw: The mapping that the YAML holds.
        where: Begins every error line.
        folder: Where relative paths in the recipe start; None leaves them as they are.
        lines: The line of every key, for the errors.

    Raises:
        RecipeError: An unknown key, or a value out of range; one line per problem.
    """
    for location in _logins(raw, ()):
        raise RecipeError(
            f"{where}{_line_of(location, lines or {})}: {'.'.join(map(str, location))}: a URL with a password; a recipe "
            "is copied and shown: give the password by the environment or the configuration of the store"
        )
    try:
        return Recipe.model_validate(raw, context={"folder": folder})
    except ValidationError as error:
        details = error.errors(include_url=False)
        inner = [detail["loc"] for detail in details]
        # A list whose only item is wrong is also "too short"; the item's own error says it better.
        told = [
            d for d in details if d["type"] != "too_short" or not _holds_another(d["loc"], inner)
        ]
        problems = [
            _explain(detail, where + _line_of(detail["loc"], lines or {})) for detail in told
        ]
        raise RecipeError("\n".join(problems)) from error


def _line_of(location: Location, lines: Mapping[Location, int]) -> str:
    """Return the line of a key, or of what it stands in; "" if no line is known."""
    for length in range(len(location), 0, -1):
        if (line := lines.get(location[:length])) is not None:
            return f":{line}"
    return ""


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
            nested = section_of(model.model_fields[step].annotation)
            if nested is None:
                return []
            model = nested
    return list(model.model_fields)
