"""Dagster's front door: TONSAI_RECIPE (shipped names or paths, with commas; `demo` by default) -> their asset graphs."""

from __future__ import annotations

import os

import dagster as dg

from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.recipe_graph import Graph, register_dumps
from tonsai_pipeline.defs.resources import open_workspace
from tonsai_pipeline.errors import RecipeError


@dg.definitions
def definitions() -> dg.Definitions:
    """Load the recipes and build their graphs, side by side.

    Raises:
        RecipeError: Two recipes have the same name.
    """
    named = [name.strip() for name in os.environ.get("TONSAI_RECIPE", "").split(",")]
    graphs, seen = [], {}
    for name in list(filter(None, named)) or ["demo"]:
        recipe, workspace = open_workspace(name)
        if recipe.name in seen:
            raise RecipeError(
                f"TONSAI_RECIPE: {seen[recipe.name]} and {name} are both named '{recipe.name}'; rename one"
            )
        seen[recipe.name] = name
        graphs.append(build_definitions(recipe, workspace))
        register_dumps(Graph(recipe, workspace))
    return dg.Definitions.merge(*graphs)
