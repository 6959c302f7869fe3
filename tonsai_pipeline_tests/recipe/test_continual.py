"""Sections of continual pretraining refuse what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from tonsai_pipeline.recipe import Recipe, load_recipe
from tonsai_pipeline.recipe.train import TrainConfig


def phase(until_frac: float) -> dict[str, Any]:
    return {"until_frac": until_frac, "trainable": ["embeddings"]}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"freeze": [phase(0.2), phase(0.2)]}, "each must end after the one before"),
        ({"freeze": [{"until_frac": 0.1, "trainable": []}]}, "at least 1 item"),
        ({"regression": {"max_rise_frac": {"eng": -0.1}}}, "not within 0..10"),
        ({"samples": {"every_steps": 5}, "zero_stage": 3}, "need whole weights"),
        ({"average_frac": 0.2, "zero_stage": 3}, "needs whole weights"),
        ({"metrics": {"trackers": ["mlflow"]}}, "trackio"),
    ],
)
def test_what_cannot_be_meant_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig.model_validate(section)


def test_a_limit_needs_a_base_model() -> None:
    with pytest.raises(ValueError, match=r"compares with `model\.base`, which is empty"):
        Recipe.model_validate(
            {
                "name": "new",
                "sources": [{"name": "news", "lang": "khm"}],
                "train": {"regression": {"max_rise_frac": {"eng": 0.1}}},
            }
        )


def test_teachers_that_go_on_from_the_same_model_are_refused() -> None:
    with pytest.raises(ValueError, match="teachers that are alike teach nothing"):
        Recipe.model_validate(
            {
                "name": "taught",
                "sources": [{"name": "news", "lang": "khm"}],
                "model": {"base": "some/model"},
                "train": {"teacher": {"num_seeds": 2}},
            }
        )


def test_the_shipped_recipe_replays_english_and_limits_its_loss() -> None:
    recipe = load_recipe("continual")
    assert recipe.mixture.languages["eng"] >= 0.25
    assert recipe.train.regression.max_rise_frac["eng"] <= 0.05
    assert [phase.trainable for phase in recipe.train.freeze] == [
        ("new_embeddings",), ("embeddings",),
    ]  # fmt: skip
