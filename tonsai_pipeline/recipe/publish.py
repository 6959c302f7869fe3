"""Recipe section `publish`: what the cards of a published model say that no run can know, and what is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from tonsai_pipeline.recipe.section import Section

#: Verdicts of publishing that may be accepted; those of the evaluation are in `evaluate.gate.waivers`.
WAIVABLE = ("same_numbers", "regression", "contamination", "license")


def _beside_the_recipe(value: str | None, info: ValidationInfo) -> str | None:
    folder = (info.context or {}).get("folder")
    if value is None or "://" in value or folder is None:
        return value
    return str(folder / Path(value).expanduser())


class PublishConfig(Section):
    """A finished model on its way to other people. Without `license` there is no asset `published_model`."""

    license: str | None = None
    """Licence that the model is given under, a Hub identifier such as `apache-2.0` or `cc-by-nc-4.0`."""

    title: str | None = None
    """Name of the model; empty: the recipe's."""

    summary: str = ""
    """What it is for, in a paragraph."""

    authors: tuple[str, ...] = ()
    """Who made it, and whom to ask."""

    limits: tuple[str, ...] = ()
    """What it should not be used for, a sentence each, beside what was measured."""

    base_model: str | None = None
    """Hub id of the model that it goes on from, where `model.base` is a folder."""

    base_license: str | None = None
    """Licence of that model."""

    target: Annotated[str | None, AfterValidator(_beside_the_recipe)] = None
    """Where the asset gives it to others: `hf://owner/name`, a folder, or any fsspec URL; empty: it only shows what would
    be given, and the gate."""

    branch: str | None = None
    """Branch of the Hub's repository; empty: `main`."""

    pull_request: bool = False
    """Whether the commit on the Hub is proposed instead of made."""

    public: bool = False
    """Whether a new repository on the Hub is seen by everybody."""

    waivers: dict[str, str] = Field(default_factory=dict)
    """Verdicts that are accepted although failed or unknown: name and reason, which go into the card."""

    @model_validator(mode="after")
    def _waivers_name_verdicts(self) -> Self:
        for name, reason in self.waivers.items():
            if name not in WAIVABLE:
                raise ValueError(
                    f"waivers: '{name}' cannot be accepted here; these can: {', '.join(WAIVABLE)}; verdicts of the "
                    "evaluation in evaluate.gate.waivers"
                )
            if not reason.strip():
                raise ValueError(f"waivers: '{name}' needs a reason")
        return self
