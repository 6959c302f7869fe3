"""Recipe section `mixture`: which languages and sources fill the run, how often, and what is held out."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import Section
from tonsai_pipeline.recipe.sources import Name

LanguageCode = Literal["khm", "eng"]
Share = Annotated[float, Field(ge=0, le=1)]
Repeat = Annotated[float, Field(ge=0, le=100)]

#: Above this many epochs a repeat is worth almost nothing at the usual weight decay of 0.1 (Muennighoff et al. 2025).
MOST_USEFUL_EPOCHS = 16.0


class MixtureStage(Section):
    """A stretch at the end of the run with shares of its own."""

    last_frac: float = Field(gt=0, lt=1)
    """How much of the run it is, 0..1."""
    languages: dict[LanguageCode, Share] | None = None
    """Shares of the languages in it; empty: as before."""
    weights: dict[Name, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Weights of sources in it, in place of those in `sources`; 0 leaves a source out."""


class ValidationSplit(Section):
    """Documents kept out of training, chosen by a hash of their text alone: a text stays on its side for ever."""

    frac: Share = 0.005
    """Share of the texts. Raise it for a small corpus: some fifty documents of each language measure well."""

    @model_validator(mode="before")
    @classmethod
    def _old_limits(cls, raw: object) -> object:
        """Accept the limits of 0.1 for one release."""
        if not isinstance(raw, dict):
            return raw
        old = [name for name in ("min_documents", "max_documents") if name in raw]
        if old:
            warnings.warn(
                f"mixture.validation.{old[0]} is not used since 0.2: a text stays on its side for ever, so only "
                "`frac` decides; the key goes in 0.3",
                FutureWarning,
                stacklevel=2,
            )
        return {name: value for name, value in raw.items() if name not in old}


class MixtureConfig(Section):
    """Shares of languages and sources, how often text may repeat, train and validation split."""

    languages: dict[LanguageCode, Share] = Field(default_factory=lambda: {"khm": 0.6, "eng": 0.4})
    """Share of all tokens of each language; must sum to 1. A source fills the share of its own language."""
    strategy: Literal["fixed", "temperature", "unimax"] = "fixed"
    """How the sources of a language divide its share. `fixed`: by weight. `temperature`: by weight x
    size^(1/temperature). `unimax`: evenly, as far as `max_epochs` of the small ones allow, weights left aside."""
    temperature: float = Field(default=1.0, gt=0, le=100)
    """For `temperature`: 1 is by size, higher is more even."""
    on_shortage: Literal["redistribute", "error"] = "redistribute"
    """A source too small for its share at `max_epochs`: leave the rest to the other sources of its language, or
    stop. A language too small for its share is always an error."""
    max_epochs: float = Field(default=4.0, gt=0)
    """Most passes over a source in the run. 4 are almost as good as new text; more warns; more than 16 is refused
    unless `allow_many_epochs`."""
    source_max_epochs: dict[Name, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """The same for single sources, in place of `max_epochs`: a dictionary may bear more passes than news, or fewer."""
    allow_many_epochs: bool = False
    """Accept `max_epochs` and `source_max_epochs` above 16."""
    total_tokens: int | None = Field(default=None, ge=1)
    """Length of the training set in tokens of the final tokenizer; empty: as long as shares and `max_epochs`
    allow."""
    stages: tuple[MixtureStage, ...] = ()
    """Stretches at the end of the run with other shares, in order."""
    bucket_repeats: tuple[Repeat, ...] = ()
    """Repeat of each part of the score range of a language, lowest first, relative to its source: (0, 1, 1, 2)
    leaves out the lowest quarter and reads the best twice as often. Empty: all alike."""
    rehydrate: dict[int, Repeat] = Field(default_factory=dict)
    """Repeat of a document by the size of its duplicate group: {1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1} is
    FineWeb-2's; the entry of the largest size reached counts. Empty: 1."""
    validation: ValidationSplit = ValidationSplit()
    """What is held out."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the order of documents and of the split."""

    @model_validator(mode="after")
    def _shares_and_epochs(self) -> Self:
        for languages in (self.languages, *(stage.languages for stage in self.stages)):
            if languages is not None and abs(sum(languages.values()) - 1) > 1e-6:
                raise ValueError(
                    f"language shares must sum to 1, not {sum(languages.values()):g}; they are shares of all tokens"
                )
        many = {"max_epochs": self.max_epochs, **self.source_max_epochs}
        name = max(many, key=many.__getitem__)
        if many[name] > MOST_USEFUL_EPOCHS and not self.allow_many_epochs:
            raise ValueError(
                f"{name}: {many[name]:g} epochs are more than {MOST_USEFUL_EPOCHS:g}, from where repeats are worth "
                "almost nothing; lower it, add text, or set allow_many_epochs: true"
            )
        if sum(stage.last_frac for stage in self.stages) >= 1:
            raise ValueError(
                "the stages' last_frac sum to 1 or more: nothing is left for the run before them"
            )
        return self

    def epochs_of(self, source: str) -> float:
        """Return the most passes over a source."""
        return self.source_max_epochs.get(source, self.max_epochs)
