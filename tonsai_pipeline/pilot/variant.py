"""A recipe and a point of its pilot -> the recipe of a small run.

Recipe + Point(size 1/8, text 1/4, length 1) ──▶ the same sources, filters and tokenizer; a smaller network, fewer documents
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.loss_law.family import Sizes, scale
from tonsai_pipeline.loss_law.ladder import Point, ladder
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.pilot import PilotConfig

_NEVER = 1_000_000_000
#: What watches a large run and is of no use in a small one. None of it changes a result.
_QUIET = {
    "regression": {},
    "early_signal": {},
    "samples": {},
    "metrics": {"tensorboard": False},
    "checkpoint": {"every_steps": 500, "keep_last": 1},
}


def settings_of(recipe: Recipe) -> PilotConfig:
    """Return the recipe's pilot, or the default one.

    Raises:
        RecipeError: No smaller network of the recipe's family can be built, or the large one has teachers of its own.
    """
    if recipe.train.teacher.num_seeds:
        raise RecipeError(
            f"recipe '{recipe.name}': small runs have no teachers (train.teacher.num_seeds), and would predict another model; "
            "take them out for the pilot"
        )
    if not recipe.model.from_sizes:
        raise RecipeError(
            f"recipe '{recipe.name}': a pilot scales a network that is built from sizes; write model.architecture, num_layers, "
            "hidden_size and num_heads in place of `config_file` or `base`"
        )
    lengths = (1.0,) if recipe.mixture.stages else PilotConfig().lengths
    return recipe.pilot or PilotConfig(lengths=lengths)


def points_of(recipe: Recipe) -> list[Point]:
    """Return the points of a recipe's pilot."""
    pilot = settings_of(recipe)
    return ladder(
        pilot.sizes, pilot.texts, pilot.lengths, num_seeds=pilot.num_seeds, screens=pilot.screens
    )


def scaled(section: ModelConfig, frac: float) -> ModelConfig:
    """Return a smaller network of the same family, with about a share of the weights in its blocks."""
    sizes = Sizes(*(getattr(section, name) for name in Sizes._fields))
    return section.model_copy(update=scale(sizes, frac)._asdict())


def variant(
    recipe: Recipe,
    point: Point,
    *,
    num_epochs: float,
    tokenizer: Path | None = None,
    center: Mapping[str, float] | None = None,
) -> Recipe:
    """Return the recipe of a point.

    Args:
        recipe: The large run's.
        point: The point.
        num_epochs: Passes over its packed rows that the large run takes.
        tokenizer: Its tokenizer, for points whose text is chosen otherwise; None for a tokenizer of their own.
        center: The middle point's settings, in place of what is `auto`.

    Raises:
        RecipeError: A screen names no setting, or a value that is none.
    """
    raw = recipe.model_dump()
    raw["pilot"] = None
    raw["evaluate"].pop("prediction", None)
    raw["model"] = scaled(recipe.model, point.size).model_dump()
    raw["packing"]["documents_frac"] = point.text
    raw["train"] |= {
        **_QUIET,
        "max_tokens": None,
        "num_epochs": num_epochs * point.length,
        "seed": recipe.train.seed + point.seed,
        "validation": {"every_steps": _NEVER, "max_rows": 8},
    }
    if point.screen:
        changes = settings_of(recipe).screens[point.screen]
        for path, value in changes.items():
            _change(raw, path, value, center or {})
            if path == "train.optimizer.lr" and str(value)[:1] == "x":
                _change(raw, "train.optimizer.embedding_lr", value, center or {})
        if tokenizer is not None and _changes_text(changes):
            raw["tokenizer"] |= {"base": str(tokenizer), "base_revision": None}
            raw["tokenizer"] |= {"keep_base_tokens": None, "extend_khmer_tokens": 0}
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise RecipeError(f"pilot.screens.{point.screen}: {error}") from error


def _changes_text(changes: Mapping[str, Any]) -> bool:
    """Tell whether another tokenizer would come of a screen's text, which is not what it asks about."""
    return not any(path.startswith(("model", "train", "tokenizer")) for path in changes)


def _change(raw: dict[str, Any], path: str, value: Any, center: Mapping[str, float]) -> None:
    *sections, name = path.split(".")
    inner: Any = raw
    for section in sections:
        inner = inner.get(section) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or name not in inner:
        raise RecipeError(f"pilot.screens: '{path}' is no setting of a recipe")
    if isinstance(value, str) and value[:1] == "x":
        known = center.get(name, inner[name])
        try:
            value = float(known) * float(value[1:])
        except (TypeError, ValueError) as error:
            raise RecipeError(
                f"pilot.screens: {path}: {value} of {known!r} is no number"
            ) from error
    inner[name] = value
