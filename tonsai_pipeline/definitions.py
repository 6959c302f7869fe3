"""Dagster's front door: TONSAI_RECIPE (a shipped name or a path; `demo` by default) -> the asset graph."""

from __future__ import annotations

import os

import dagster as dg

from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.recipe import load_recipe


@dg.definitions
def definitions() -> dg.Definitions:
    """Load the recipe and build its graph."""
    return build_definitions(load_recipe(os.environ.get("TONSAI_RECIPE", "demo")), Workspace())
