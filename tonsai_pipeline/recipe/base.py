"""What every section of a recipe is: frozen, documented field by field, closed against unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every recipe section; a string under a field is its documentation in `docs/recipe.md`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    def settings(self) -> dict[str, object]:
        """Return the section as plain JSON values, the form that fingerprints hash."""
        return self.model_dump(mode="json")
