"""Recipe section `pilot`: the small runs that say beforehand what the large one will be worth."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import Section

_Share = Annotated[float, Field(gt=0.0, le=1.0)]

#: Settings that most runs leave open.
SCREENS: dict[str, dict[str, Any]] = {
    "lr x0.5": {"train.optimizer.lr": "x0.5"},
    "lr x2": {"train.optimizer.lr": "x2"},
    "weight decay x0.3": {"train.optimizer.weight_decay": "x0.3"},
    "weight decay x3": {"train.optimizer.weight_decay": "x3"},
    "dropout 0.1": {"model.dropout": 0.1},
}


class PilotConfig(Section):
    """A ladder of small runs of the recipe's own family, and runs with other settings in its middle."""

    sizes: tuple[_Share, ...] = Field(default=(0.0625, 0.125, 0.25), min_length=2)
    """Shares of the weights in the network's blocks, 0..1; width and depth shrink together."""

    texts: tuple[_Share, ...] = Field(default=(0.125, 0.25, 0.5), min_length=2)
    """Shares of the training documents, 0..1, chosen by a hash: each is part of the next."""

    lengths: tuple[Annotated[float, Field(gt=0.0, le=1000.0)], ...] = (0.25, 1.0)
    """Passes over the text as multiples of the recipe's own, 0..1,000; 1 must be among them."""

    num_seeds: int = Field(default=3, ge=1, le=100)
    """Runs of the middle point, 1..100: what differs among them is noise. With 1, no effect is resolved."""

    screens: dict[str, dict[str, Any]] = Field(default_factory=lambda: dict(SCREENS))
    """Name -> settings of the recipe by their path, each run at the middle point: `{fewer English: {mixture.languages: {khm:
    0.8, eng: 0.2}}, no dedup: {dedup.enabled: false}}`. `x2` is twice the value that the middle point had."""

    @model_validator(mode="after")
    def _values_are_told_apart(self) -> Self:
        for name in ("sizes", "texts", "lengths"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: {values} has a value twice")
        if 1.0 not in self.lengths:
            raise ValueError(f"lengths: {self.lengths} lacks 1, the recipe's own")
        return self
