"""Recipe sections -> `docs/recipe.md`: every key with type, default, range and meaning.

uv run python -m tonsai_pipeline.recipe.document > docs/recipe.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tonsai_pipeline.recipe.recipe import Recipe
from tonsai_pipeline.recipe.section import section_of

_HEAD = """# The recipe

One YAML file is one run. Unknown keys are errors. Every key below changes the result; what cannot change it
(workers, engine, launcher, resume) is given on the command line or in the run's launch form instead.
This page is generated from the recipe's own documentation: `uv run python -m tonsai_pipeline.recipe.document > docs/recipe.md`.
"""


def recipe_page() -> str:
    """Return the whole page as Markdown."""
    places: dict[type[BaseModel], str] = {}
    _place_sections("recipe", Recipe, places)
    return "\n".join(
        [_HEAD, *(line for section in places for line in _section_page(section, places))]
    )


def _place_sections(
    path: str, section: type[BaseModel], places: dict[type[BaseModel], str]
) -> None:
    """Note where each kind of section stands for the first time, parents first: it is written there, and only there."""
    if section in places:
        return
    places[section] = path
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            _place_sections(name if path == "recipe" else f"{path}.{name}", inner, places)


def _section_page(section: type[BaseModel], places: dict[type[BaseModel], str]) -> Iterator[str]:
    summary = " ".join((section.__doc__ or "").split())
    yield f"## `{places[section]}`\n\n{summary}\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        text = " ".join((field.description or "").split())
        kind = (
            f"[section](#{re.sub('[^a-z0-9_]', '', places[inner])})"
            if inner
            else f"`{_type_name(field.annotation)}`"
        )
        yield f"| `{name}` | {kind} | {_default(field, inner)} | {text}{_bounds(field)} |"
    yield ""


def _default(field: Any, inner: type[BaseModel] | None) -> str:
    if field.default_factory is not None:
        return "empty"
    if field.default is PydanticUndefined:
        return "required"
    if inner is not None and isinstance(field.default, BaseModel):
        return "see there"
    if isinstance(field.default, BaseModel):
        return "see there"
    value = field.default
    return "empty" if value in (None, (), "", {}) else f"`{value}`"


def _bounds(field: Any) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [
        f"{word} {getattr(limit, key)}"
        for limit in field.metadata
        for key, word in words.items()
        if getattr(limit, key, None) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


def _type_name(annotation: Any) -> str:
    """Return a type as a person writes it: choices and unions with "or", without what pydantic annotates."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(inner[0])
    if origin is Literal:
        return " or ".join(str(value) for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(one) for one in inner)
    if origin is not None:
        items = ", ".join("..." if one is ... else _type_name(one) for one in inner)
        return f"{origin.__name__}[{items}]"
    return "None" if annotation is type(None) else annotation.__name__


if __name__ == "__main__":
    sys.stdout.write(recipe_page())
