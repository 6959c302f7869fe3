"""What a run is: one YAML file -> one frozen `Recipe`, a section a stage."""

from tonsai_pipeline.recipe.load import find_recipe, load_recipe, parse_recipe, shipped_recipes
from tonsai_pipeline.recipe.recipe import Recipe
from tonsai_pipeline.recipe.section import Section

__all__ = ["Recipe", "Section", "find_recipe", "load_recipe", "parse_recipe", "shipped_recipes"]
