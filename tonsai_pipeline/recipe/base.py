"""What every section of a recipe is: frozen, documented field by field, closed against unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo


class Section(BaseModel):
    """Base of every recipe section; a string under a field is its documentation in `docs/recipe.md`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    def settings(self) -> dict[str, object]:
        """Return the section as plain JSON values, the form that fingerprints hash."""
        return self.model_dump(mode="json")


def _beside_the_recipe(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return value if folder is None else folder / value


RecipePath = Annotated[Path, AfterValidator(_beside_the_recipe)]
"""A file named in a recipe; a relative path starts at the recipe's folder."""
