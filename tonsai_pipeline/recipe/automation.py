"""What may happen by itself: the limits of sensors and schedules. None of it changes a result that is made."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tonsai_pipeline.recipe.section import Section


class AutomationConfig(Section):
    """What to do about a dump that cannot be used, and when a new model is worth its training."""

    on_bad_dump: Literal["leave_out", "stop"] = "leave_out"
    """A dump that is set aside because it failed: the corpus is made without it, with a warning (`leave_out`), or not at all
    until a person decides (`stop`)."""
    min_growth_frac: float = Field(default=0.1, ge=0)
    """Training is asked for when the packed tokens grew by this share since the model was trained; 0: by any
    change."""

    unkeyed: ClassVar = frozenset({"on_bad_dump", "min_growth_frac"})
