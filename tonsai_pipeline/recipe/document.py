"""Recipe sections -> `docs/recipe.md`: every key with type, default, range and meaning.

uv run python -m tonsai_pipeline.recipe.document > docs/recipe.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, get_args

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
    pieces = [_HEAD, *_section_pages("recipe", Recipe, set())]
    return "\n".join(pieces)


def _section_pages(
    path: str, section: type[BaseModel], seen: set[type[BaseModel]]
) -> Iterator[str]:
    if section in seen:
        return
    seen.add(section)
    summary = " ".join((section.__doc__ or "").split())
    yield f"## `{path}`\n\n{summary}\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    nested = []
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        place = name if path == "recipe" else f"{path}.{name}"
        if inner is not None:
            nested.append((place, inner))
        text = " ".join((field.description or "").split())
        kind = (
            f"[section](#{re.sub('[^a-z0-9_]', '', place)})"
            if inner
            else f"`{_type_name(field.annotation)}`"
        )
        yield f"| `{name}` | {kind} | {_default(field, inner)} | {text}{_bounds(field)} |"
    yield ""
    for place, inner in nested:
        yield from _section_pages(place, inner, seen)


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
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = re.sub(r"Annotated\[([^,\]]+),.*\]", r"\1", text)
    for prefix in ("typing.", "tonsai_pipeline.recipe.sources.", "pathlib."):
        text = text.replace(prefix, "")
    if text.startswith("Literal"):
        return " or ".join(str(value) for value in get_args(annotation))
    return text.replace("|", "or").replace("NoneType", "None")


if __name__ == "__main__":
    sys.stdout.write(recipe_page())
