"""Recipe section `publish`: what the cards of a published model say that no run can know, and what is accepted."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import Section

#: Verdicts of publishing that may be accepted; those of the evaluation are in `evaluate.gate.waivers`.
WAIVABLE = ("same_numbers", "regression", "contamination", "license")


class PublishConfig(Section):
    """A finished model on its way to other people. Without `license` there is nothing to publish."""

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
